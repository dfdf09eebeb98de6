"""Bad input: exit code 2, lines that name key, value and what is allowed, and nothing written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clrun.cli.main import main

UNKNOWN = [
    # wrong keys and options: refused without torch
    ("strategy.mem_sizee=3", "strategy.mem_sizee=3", "Did you mean 'mem_size'?"),
    ("+strategy.foo=1", "strategy.foo=1", "Keys: lr,"),
    ("++strategy.momentun=0", "strategy.momentun=0", "Did you mean 'momentum'?"),
    ("+foo=3", "foo=3", "Keys: seed,"),
    ("lr=0.1", "lr=0.1", "Did you mean 'strategy.lr'?"),
    ("mem_size=100", "mem_size=100", "Did you mean 'strategy.mem_size'?"),
    ("strat=naive", "strat=naive", "Did you mean 'strategy'?"),
    ("sede=3", "sede=3", "Did you mean 'seed'?"),
    ("model.hiden=[3]", "model.hiden=[3]", "Did you mean 'hidden'?"),
    ("+benchmark.n_experience=3", "benchmark.n_experience=3", "Did you mean 'n_experiences'?"),
    ("device.cores=3", "device.cores=3", "Keys: kind,"),
    ("eval.every=3", "eval.every=3", "Keys: stream,"),
    ("storage_policy.adaptive=true", "storage_policy.adaptive=true", "'adaptive_size'"),
    ("selection.layer=output", "selection.layer=output", "It has no keys."),
    ("+plugin=si", "+plugin=si", "strategy.plugins="),
    ("hydra.run.dri=x", "hydra.run.dri", ""),
    ("strategy=repaly", "strategy=repaly", "Did you mean 'replay'?"),
    ("benchmark=mnist", "benchmark=mnist", "Write benchmark=split_mnist."),
    ("model=mpl", "model=mpl", "Did you mean 'mlp'?"),
    ("device=gpu", "device=gpu", "Options: auto, cpu, cuda, mps."),
    ("selection=hering", "selection=hering", "Did you mean 'herding'?"),
    ("storage_policy=ring", "storage_policy=ring", "Options: class_balanced,"),
    ("eval=none", "eval=none", "Options: full, seen."),
    ("experiment=typo", "experiment=typo", "er_split_fashion_mnist,"),
    ("+experiment=typo", "experiment=typo", "er_split_fashion_mnist,"),
    ("strategy=", "strategy=", "Options: agem, ar1,"),
    ("strategy=_descent", "strategy=_descent", "Options: agem, ar1,"),
    ("benchmark=_split", "benchmark=_split", "Options: core50_nc,"),
    ("~strategy", "strategy=null", "Options: agem, ar1,"),
    ("~strategy.lr", "strategy.lr", "a value is needed"),
    ("--confg-dir x", "--confg-dir", "Did you mean '--config-dir'?"),
    ("--cfg jobs", "--cfg", "choose from"),
    ("--experimental-rerun x", "--experimental-rerun", "--config-path"),
    ("--config-dir nowhere", "--config-dir=nowhere", "no such folder"),
    ("--config-path nowhere", "--config-path=nowhere", "no such folder"),
    ("list strategees", "strategees", "Did you mean 'strateg"),
    ("version --long", "--long", "clrun version --help"),
]

VALUES = [
    # wrong types
    ("strategy.lr=fast", "strategy.lr=fast", "must be a number"),
    ("seed=abc", "seed=abc", "must be a whole number"),
    ("strategy.mem_size=1e3", "strategy.mem_size=1000.0", "write 1000"),
    ("strategy.train_epochs=2.5", "strategy.train_epochs=2.5", "must be a whole number"),
    ("device.channels_last=3", "device.channels_last=3", "true or false"),
    ("strategy.lr=null", "strategy.lr=null", "must be a number"),
    ("strategy.lr=[1,2]", "strategy.lr=[1,2]", "must be a number"),
    ("model.hidden=400", "model.hidden=400", "must be a list"),
    ("model.hidden=[400,many]", "model.hidden[1]=many", "must be a whole number"),
    ("strategy.plugins=si", "strategy.plugins=si", "must be a list"),
    ("strategy.lr.x=3", "strategy.lr=", "must be a number"),
    ("seed=[1", "seed=[1", "cannot be read"),
    ("seed=1,2", "seed=1,2", "Add -m"),
    ("strategy.lr=${nope}", "strategy.lr", "nope"),
    ("strategy.lr=???", "strategy.lr", "strategy.lr"),
    # out of bounds
    ("seed=-1", "seed=-1", "at least 0"),
    ("strategy.lr=0", "strategy.lr=0", "above 0"),
    ("strategy.lr=nan", "strategy.lr=nan", "must be"),
    ("strategy.lr=inf", "strategy.lr=inf", "finite"),
    ("strategy.momentum=1", "strategy.momentum=1", "below 1"),
    ("strategy.train_epochs=0", "strategy.train_epochs=0", "at least 1"),
    ("strategy.mem_size=0", "strategy.mem_size=0", "at least 1"),
    ("strategy.eval_every=-2", "strategy.eval_every=-2", "at least -1"),
    ("eval.every_steps=0", "eval.every_steps=0", "at least 1"),
    ("eval.subset=5", "eval.subset=5", "Use e.g. eval.every_steps=10"),
    ("log_every=0", "log_every=0", "at least 1"),
    ("benchmark.validation_fraction=1", "benchmark.validation_fraction=1", "below 1"),
    ("device.threads=0", "device.threads=0", "at least 1"),
    ("model.hidden=[0]", "model.hidden[0]=0", "at least 1"),
    ("strategy.optimizer=sdg", "strategy.optimizer=sdg", "Did you mean 'sgd'?"),
    ("strategy.mix=both", "strategy.mix=both", "one of split, add"),
    ("device.precision=fp8", "device.precision=fp8", "one of fp32, bf16, fp16"),
    (
        "benchmark.class_order=random",
        "benchmark.class_order=random",
        "[1,2] or must be one of fixed",
    ),
    # parts
    ("strategy.plugins=[{name: ssi}]", "strategy.plugins[0].name=ssi", "Did you mean 'si'?"),
    ("strategy.plugins=[{name: si}]", "strategy.plugins[0].ewc_lambda", "a value is needed"),
    (
        "strategy.plugins=[{ewc_lambda: 1}]",
        "strategy.plugins[0].name=null",
        "Plugins: ewc, mas, si.",
    ),
    (
        "strategy.plugins=[{name: si, ewc_lambda: -1}]",
        "strategy.plugins[0].ewc_lambda=-1",
        "at least 0",
    ),
    # contradictions
    ("storage_policy=reservoir selection=herding", "selection=herding", "selection=random"),
    ("strategy.optimizer=adam strategy.momentum=0.9", "strategy.momentum=0.9", "sgd"),
    ("strategy.memory_mb_size=32", "strategy.memory_mb_size=32", "strategy.train_mb_size=32"),
    ("strategy.train_mb_size=4", "strategy.train_mb_size=4", "5 experiences"),
    (
        "strategy.memory_update=minibatch strategy.epoch_length=longest",
        "strategy.epoch_length=longest",
        "epoch_length=current",
    ),
    ("strategy.schedule=step", "strategy.schedule_milestones=[]", "schedule=constant"),
    (
        "strategy.schedule=cosine strategy.schedule_milestones=[5]",
        "strategy.schedule_milestones=[5]",
        "schedule=step",
    ),
    (
        "strategy.schedule=step strategy.schedule_milestones=[5,20]",
        "strategy.schedule_milestones=[5, 20]",
        "train_epochs=20",
    ),
    ("eval.stream=validation", "eval.stream=validation", "benchmark.validation_fraction"),
    ("storage_policy.adaptive_size=false", "storage_policy.num_experiences", "null"),
    ("storage_policy.num_experiences=5", "storage_policy.num_experiences=5", "adaptive_size"),
    (
        "storage_policy.adaptive_size=false storage_policy.num_experiences=3",
        "storage_policy.num_experiences=3",
        "at least 5",
    ),
    ("benchmark.n_experiences=3", "benchmark.n_experiences=3", "1, 2, 5, 10"),
    ("benchmark.n_experiences=11", "benchmark.n_experiences=11", "10 classes"),
    ("benchmark.normalize=model", "benchmark.normalize=model", "model.pretrained=true"),
    ("benchmark=core50_nc benchmark.normalize=model", "benchmark.normalize=model", "weights"),
    ("benchmark.normalize=modle", "benchmark.normalize=modle", "Did you mean 'model'?"),
    ("benchmark.class_order=[0,1,2]", "benchmark.class_order=[0,1,2]", "each class from 0 to 9"),
    (
        "benchmark.classes_per_experience=[5,4]",
        "benchmark.classes_per_experience=[5,4]",
        "one count for each",
    ),
    ("benchmark.scenario=ni benchmark.class_order=shuffled", "benchmark.class_order=", "ni"),
    ("benchmark.class_order_seed=3", "benchmark.class_order_seed=3", "shuffled"),
    ("-m seed=1,1", "seed=1", "twice"),
    ("-m seed=1,x", "seed=x", "must be a whole number"),
]

PLACES = [
    # found with the model or the data folder at hand, still before any data are read
    ("selection=herding selection.layer_name=foo", "selection.layer_name=foo", "Layers: "),
    ("device=cuda device.index=99", "device", "vailable"),
    ("model.pretrained=nowhere.pt", "/nowhere.pt", "file of weights"),
    ("model.pretrained=true", "model.pretrained=true", "file"),
    ("output_root=a_file", "output_root=a_file", "is a file"),
    (
        "benchmark=split_mnist benchmark.download=false benchmark.data_root=nowhere",
        "/nowhere: there is no such folder",
        "benchmark.download=true",
    ),
    (
        "benchmark=split_mnist benchmark.download=false benchmark.data_root=a_file",
        "benchmark.data_root=",
        "a_file",
    ),
    (
        "benchmark=split_cifar10 benchmark.download=false benchmark.data_root=.",
        "benchmark.data_root=/",
        "cifar-10-batches-py/",
    ),
    ("benchmark.validation_fraction=0.001", "benchmark.validation_fraction=0.001", ""),
    # where AR1 cuts and freezes a model, and how much it may store
    ("strategy=ar1 strategy.rm_sz=-1", "strategy.rm_sz=-1", "at least 0"),
    ("strategy=ar1 strategy.latent_layer_num=28", "strategy.latent_layer_num=28", "at most 27"),
    ("strategy=ar1 model=mlp strategy.latent_layer_num=3", "latent_layer_num=3", "latent_layer="),
    ("strategy=ar1 strategy.latent_layer_num=5", "freeze_below_layer=", "above the latent layer"),
    ("strategy=ar1 strategy.freeze_below_layer=lat_feature.3", "=lat_feature.3", "Did you mean"),
    ("strategy=ar1 model=mlp strategy.latent_layer=nope", "latent_layer=nope", "Layers: "),
    ("strategy=ar1 strategy.rm_bytes=10", "strategy.rm_bytes=10", "Use at least"),
    ("strategy=ar1 strategy.rm_sz=0 strategy.rm_bytes=10", "strategy.rm_bytes=10", "rm_sz"),
    ("model=torchvision model.arch=mobilenet_v9", "model.arch=mobilenet_v9", "Did you mean"),
]


@pytest.mark.parametrize(("words", "named", "allowed"), UNKNOWN + VALUES + PLACES)
def test_bad_input_is_shown_in_one_line_and_nothing_is_written(
    words: str, named: str, allowed: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "a_file").write_text("in the way")

    code = main(_split(words))

    output = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(output) == 1
    assert output[0].startswith("clrun: ")
    assert named in output[0]
    assert allowed in output[0]
    assert [path.name for path in workplace.iterdir()] == ["a_file"]


def test_all_problems_are_shown_at_once(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["strategy.lr=fast", "strategy.mem_sizee=3", "+foo=1", "seed=-1", "model.hidden=[0]"]

    code = main(words)

    output = capsys.readouterr().err
    assert code == 2
    assert len(output.splitlines()) == len(words)
    assert all(word.lstrip("+").partition("=")[0] in output for word in words)
    assert not list(workplace.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["strategy.mem_sizee=3"],
        ["+foo=1"],
        ["strategy=repaly"],
        ["--confg=job"],
        ["strategy.lr=fast"],
        ["--help"],
        ["--hydra-help"],
        ["--cfg", "job"],
        ["--cfg", "job", "--resolve", "-p", "strategy"],
        ["--info", "searchpath"],
        ["-sc", "install=bash"],
        ["list"],
        ["version"],
    ],
    ids=" ".join,
)
def test_no_torch_is_imported_to_help_or_to_refuse(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom clrun.cli.main import main\n"
        f"code = main({words!r})\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def _split(words: str) -> list[str]:
    """Words at spaces, except inside brackets."""
    parts: list[str] = []
    depth = 0
    for word in words.split(" "):
        if depth:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
        depth = max(0, depth + sum(map(word.count, "[{")) - sum(map(word.count, "]}")))
    return [part for part in parts if part]
