"""The Tab key: what may come next, and never an error on the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from clrun.cli.main import main
from clrun.cli.verbs import VERBS


def offered(
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shell: str = "bash",
) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", f"query={shell}"]) == 0
    answer = capsys.readouterr()
    assert answer.err == ""
    return answer.out.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("clrun prev", ["preview"]),
        ("clrun pr", ["predict", "preview", "profile"]),
        ("clrun --config-d", ["--config-dir"]),
        ("clrun --cfg ", ["all", "hydra", "job"]),
        ("clrun --cfg j", ["job"]),
        ("clrun --info default", ["defaults", "defaults-tree"]),
        ("clrun help mod", ["model"]),
        ("clrun help device=c", ["device=cpu", "device=cuda"]),
        ("clrun list st", ["storage_policy", "strategy"]),
        ("clrun preview --j", ["--json"]),
        ("clrun preview --json benchmark.down", ["benchmark.download="]),
        ("clrun profile --st", ["--stacks", "--steps"]),
        ("clrun device=", ["device=auto", "device=cpu", "device=cuda", "device=mps"]),
        ("clrun strategy=na", ["strategy=naive"]),
        ("clrun strategy=naive strategy.crit", ["strategy.criterion="]),
        ("clrun strategy=ar1 strategy.norm=b", ["strategy.norm=bn", "strategy.norm=brn"]),
        ("clrun strategy.optimizer=ad", ["strategy.optimizer=adam", "strategy.optimizer=adamw"]),
        ("clrun +strategy.optimizer=s", ["+strategy.optimizer=sgd"]),
        ("clrun -m device.precision=f", ["device.precision=fp16", "device.precision=fp32"]),
        ("clrun device.compile=t", ["device.compile=true"]),
        ("clrun experiment=repro/ncm", ["experiment=repro/ncm_split_mnist"]),
        ("clrun +experiment=repro/ncm", ["+experiment=repro/ncm_split_mnist"]),
        ("clrun exp", ["experiment=", "export"]),
        ("clrun logger=t", ["logger=tensorboard"]),
        ("clrun logger=csv logger.csv.s", ["logger.csv.steps="]),
        ("clrun logger=csv logger.csv.steps=f", ["logger.csv.steps=false"]),
        ("clrun help logger=c", ["logger=csv"]),
        ("clrun watch --o", ["--once"]),
        ("clrun strategy=nosuch mod", ["model="]),
        ("clrun --nosuch x", []),
        ("clrun plug", []),
        ("clrun version ", []),
        ("clrun status ", []),
        ("clrun resume ou", []),
        ("clrun resume sweep --r", ["--retry-failed"]),
        ("clrun evaluate ou", []),
        ("clrun evaluate outputs benchmark=fol", ["benchmark=folder"]),
        ("clrun 'a", []),
    ],
)
def test_what_may_come_next(line, words, workplace, monkeypatch, capsys):
    found = offered(line, monkeypatch, capsys)

    assert found == words
    assert not list(workplace.iterdir())


def test_at_first_everything_is_offered(monkeypatch, capsys):
    found = offered("clrun ", monkeypatch, capsys)

    assert {*VERBS, "strategy=", "strategy.", "seed=", "experiment="} <= {*found}


def test_options_of_a_folder_of_ones_own_are_offered(workplace: Path, monkeypatch, capsys):
    recipe = workplace / "mine" / "experiment" / "tidy.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nseed: 3\n")

    assert offered("clrun --config-dir mine experiment=ti", monkeypatch, capsys) == [
        "experiment=tidy"
    ]


def test_without_a_line_nothing_is_offered(monkeypatch, capsys):
    monkeypatch.delenv("COMP_LINE", raising=False)

    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_the_options_of_a_verb_are_those_of_its_parser(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])

    shown = capsys.readouterr().out
    assert all(option in shown for option in VERBS[verb].options)
