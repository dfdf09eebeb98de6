"""`clrun --cfg`: what is shown, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from clrun.cli.main import main


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_the_parts_of_the_tree(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {kind: yaml.safe_load(shown(capsys, "--cfg", kind)) for kind in ("job", "hydra", "all")}

    assert "hydra" not in kinds["job"]
    assert list(kinds["hydra"]) == ["hydra"]
    assert set(kinds["all"]) == {*kinds["job"], "hydra"}
    assert not list(workplace.iterdir())


def test_the_folder_of_a_run_is_shown_as_it_will_be(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--cfg", "hydra", "--resolve", "output_root=results")

    node = yaml.safe_load(shown(capsys, *words))["hydra"]

    assert re.fullmatch(r"results/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-[0-9a-f]{6}", node["run"]["dir"])
    assert node["sweep"]["dir"].startswith("results/multirun/")
    assert re.fullmatch(r"replay-digits-s0-[0-9a-f]{12}", node["sweep"]["subdir"])


@pytest.mark.parametrize(
    ("package", "text"),
    [
        ("seed", "3\n"),
        ("strategy.lr", "0.1\n"),
        ("hydra.job.name", "clrun\n"),
        ("_global_", "seed: 3\n"),
        ("selection", "# @package selection\ntarget: "),
    ],
)
def test_a_package_is_shown(package: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert text in shown(capsys, "--cfg", "all", "--package", package, "seed=3")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--cfg job -p nosuch", "--package=nosuch: there is no such package. Packages: "),
        ("--cfg job -p strategi", "Did you mean 'strategy'?"),
        ("--cfg job -p strategy.lrr", "Did you mean 'lr'? Packages of strategy: "),
        ("--cfg job -p hydra.run", "--package=hydra.run: there is no such package."),
        ("--cfg job model=null", "takes one option."),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    words: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2

    output = capsys.readouterr().err
    assert line in output
    assert output.count("\n") == 1
