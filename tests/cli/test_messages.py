"""What people type who know another tool, or a moment of clrun, and the line that leads on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from clrun.cli.main import main

SI = "'strategy.plugins=[{name: si, ewc_lambda: 1.0}]'"

WORDS = [
    # typed as in a shell, and how the line goes on from there
    ("naive", "Write strategy=naive."),
    ("digits", "Write benchmark=digits."),
    ("ar1_digits", "Write experiment=ar1_digits."),
    ("er", "Write strategy=replay."),
    ("si", f"Write {SI}."),
    ("strategy", "write strategy=OPTION. Options: agem,"),
    ("seed", "Write seed=VALUE."),
    ("epochs", "Write strategy.train_epochs=VALUE."),
    ("strategy.lr", "Write strategy.lr=VALUE."),
    ("continue X", "Verbs: compare, doctor, evaluate,"),
    ("prevew", "Did you mean 'preview'?"),
    ("seed=3 list", "a verb comes first: clrun list"),
    ("mine.yaml", "--config-dir DIR experiment=mine"),
    (".", "benchmark=folder benchmark.data_root=."),
    ("hydra.run.dir=null", "must have a value. Leave it out for its default."),
    ("-m seed=1,2 hydra.sweep.dir=null", "must have a value. Leave it out for its default."),
    ("hydra.mode=BOTH", "Invalid value 'BOTH', expected one of [RUN, MULTIRUN]."),
    ("strategy = naive", "no blanks around =. Write strategy=naive."),
    ("strategy= naive", "no blanks around =. Write strategy=naive."),
    ("strategy =naive", "no blanks around =. Write strategy=naive."),
    ("strategy.plugins=[{name: si, ewc_lambda: 1.0}]", f"Quote the whole: {SI}."),
    ("model.hidden=[1, 2] seed=3", "Quote the whole: 'model.hidden=[1, 2]'."),
    ("benchmark.data_root=~/photos", "Write \"benchmark.data_root='~/photos'\"."),
]

OPTIONS = [
    ("--seed=3", "Keys have no dashes: write seed=3."),
    ("--seed 3", "write seed=3."),
    ("--strategy naive", "write strategy=naive."),
    ("--epochs 5 seed=3", "write strategy.train_epochs=5."),
    ("--batch_size 64", "write strategy.train_mb_size=64."),
    ("--batch-size=64", "write strategy.train_mb_size=64."),
    ("--lr 0.1", "write strategy.lr=0.1."),
    ("--preview", "A verb has no dashes: clrun preview."),
    ("--dry-run", "Write clrun --cfg job."),
    ("--seeds 5", "Write -m 'seed=range(5)'."),
    ("--nosuch", "See clrun --help, and clrun --hydra-help for Hydra's options."),
    ("seed=range(5)", "seed=range(5): several values. Add -m to run each."),
    ("--resolve", "only --cfg and --help"),
    ("-p strategy", "only --cfg"),
]

KEYS = [
    ("epochs=5", "Did you mean 'strategy.train_epochs'?"),
    ("n_epochs=5", "Did you mean 'strategy.train_epochs'?"),
    ("max_epochs=5", "Did you mean 'strategy.train_epochs'?"),
    ("batch_size=64", "Did you mean 'strategy.train_mb_size'?"),
    ("strategy.batch_size=64", "Did you mean 'train_mb_size'?"),
    ("buffer_size=500", "Did you mean 'strategy.mem_size'?"),
    ("minibatch_size=32", "Did you mean 'strategy.memory_mb_size'?"),
    ("learning_rate=0.1", "Did you mean 'strategy.lr'?"),
    ("weight_decay=0", "Did you mean 'strategy.l2'?"),
    ("dataset=mnist", "Did you mean 'benchmark'?"),
    ("data_dir=x", "Did you mean 'benchmark.data_root'?"),
    ("benchmark.n_tasks=5", "Did you mean 'n_experiences'?"),
    ("n_experiences=5", "Did you mean 'benchmark.n_experiences'?"),
    ("accelerator=gpu", "Did you mean 'device'?"),
    ("num_threads=2", "Did you mean 'device.threads'?"),
    ("exp_name=a", "Did you mean 'run_name'?"),
    ("strategy.ewc_lambda=1", "It is a key of strategy=ar1, strategy.plugins='[{name: ewc,"),
    ("strategy=naive strategy.mem_size=3", "It is a key of strategy=agem,"),
    ("selection.layer_name=x", "It is a key of selection=closest_to_center,"),
]

CHOICES = [
    ("plugin=si", f"Write {SI}."),
    ("+plugin=si", f"Write {SI}."),
    ("strategy=er", "Write strategy=replay."),
    ("strategy=ewc", f"Write {SI.replace('si', 'ewc')}."),
    ("strategy=online_ewc", f"Write {SI.replace('si', 'ewc')}."),
    ("strategy=mas", "Write 'strategy.plugins=[{name: mas}]'."),
    ("strategy=synaptic_intelligence", f"Write {SI}."),
    ("strategy=finetuning", "Write strategy=naive."),
    ("strategy=derpp", "Write strategy=der strategy.beta=0.5."),
    ("strategy=latent-replay", "Write strategy=ar1."),
    ("device=gpu", "Write device=cuda."),
    ("device=cuda:1", "Write device=cuda device.index=1."),
    ("device=0", "Write device=cuda device.index=0."),
    ("device=metal", "Write device=mps."),
    ("benchmark=seq-cifar10", "Write benchmark=split_cifar10."),
    ("benchmark=fmnist", "Write benchmark=split_fashion_mnist."),
    ("model=resnet18", "Write model=torchvision model.arch=resnet18."),
    ("model=SimpleMLP", "Write model=mlp."),
    ("storage_policy=ReservoirSampling", "Write storage_policy=reservoir."),
    ("model=null", "takes one option. Options: cnn,"),
    ("strategy=3", "takes one option. Options: agem,"),
    ("strategy=[naive,replay]", "To run each: -m strategy=naive,replay."),
]

VALUES = [
    ("strategy.optimizer=SGD", "Did you mean 'sgd'?"),
    ("strategy.criterion=CrossEntropyLoss", "Did you mean 'cross_entropy'?"),
    ("strategy.schedule=CosineAnnealingLR", "Did you mean 'cosine'?"),
    ("device.precision=16", "Did you mean 'fp16'?"),
    ("device.precision=bf16-mixed", "Did you mean 'bf16'?"),
    ("run_name=42", "must be text. Quote it twice: \"run_name='42'\"."),
    ("run_name=2026.10", "must be text. Quote it twice: \"run_name='2026.1'\"."),
    ("output_root=", "names no file or folder."),
    ("benchmark.data_root=", "names no file or folder."),
    ("benchmark=folder 'benchmark.data_root=\"~nobody-here/x\"'", "a folder ~nobody-here is ./~"),
    ("strategy=ar1 strategy.rm_bytes=1XB", "must be a number of bytes, at least 1, e.g. 64MB."),
    ("strategy=ar1 strategy.rm_bytes=0MB", "must be at least 1."),
]


@pytest.mark.parametrize(("typed", "line"), WORDS + OPTIONS + KEYS + CHOICES + VALUES)
def test_one_line_leads_from_what_was_typed_to_what_was_meant(
    typed: str, line: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(shlex.split(typed))

    output = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(output) == 1
    assert line in output[0]
    assert not list(workplace.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", ".", "list", "devices"],
        ["-cd", ".", "list", "devices"],
        ["--config-dir=.", "list", "devices"],
        ["list", "devices", "--config-dir", "."],
    ],
    ids=" ".join,
)
def test_a_verb_may_come_after_the_config_options(
    words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert "cuda" in capsys.readouterr().out


def test_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert "clrun " in capsys.readouterr().out


def test_the_traceback_is_shown_where_hydra_s_variable_asks_for_it(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    assert main(["seed=x"]) == 2

    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("clrun: seed=x: must be a whole number.\n")
