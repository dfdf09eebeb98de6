"""Configuration folders of one's own, with code beside them, and saved runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from clrun.cli.main import main

QUICK = ("strategy.train_epochs=1", "device=cpu", "device.threads=1")
CODE = """
from dataclasses import dataclass

from clrun.strategies.naive import Naive

class Mine(Naive):
    @dataclass(frozen=True, kw_only=True)
    class Config(Naive.Config):
        pass
"""


@pytest.fixture
def project(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with conf/strategy/mine.yaml; what is added to the module path goes again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    option = workplace / "conf" / "strategy" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Mine.\ndefaults: [naive, _self_]\ntarget: clrun_own_code:Mine\n")
    return workplace


@pytest.mark.parametrize("place", [".", "conf"])
def test_code_in_or_beside_a_config_dir_is_found(place: str, project: Path) -> None:
    module = f"clrun_own_code_{'beside' if place == '.' else 'inside'}"
    option = project / "conf" / "strategy" / "mine.yaml"
    option.write_text(option.read_text().replace("clrun_own_code", module))
    (project / place / f"{module}.py").write_text(CODE)

    assert (
        main(["--trust", "--config-dir", "conf", "strategy=mine", *QUICK, "hydra.run.dir=run"]) == 0
    )

    assert json.loads((project / "run" / "run.json").read_text())["label"] == "mine-digits-s0"


def test_code_that_is_not_found_is_told_where_to_lie(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--trust", "--config-dir", "conf", "strategy=mine"]) == 2

    line = capsys.readouterr().err
    assert "there is no module of that name" in line
    assert "beside a --config-dir" in line
    assert "PYTHONPATH" in line


def test_help_finds_the_code_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "clrun_own_code.py").write_text(CODE)

    assert main(["help", "--trust", "--config-dir", "conf", "strategy=mine"]) == 0
    assert "strategy.lr=" in capsys.readouterr().out


def test_a_recipe_without_its_first_line_is_told_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = project / "conf" / "experiment" / "mine.yaml"
    recipe.parent.mkdir()
    recipe.write_text("seed: 3\nstrategy:\n  lr: 0.1\n")

    assert main(["--config-dir", "conf", "experiment=mine"]) == 2

    assert "begins with the line `# @package _global_`" in capsys.readouterr().err


def test_a_saved_run_takes_keys_alone_and_says_so(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["strategy=naive", *QUICK, "hydra.run.dir=run"]) == 0
    saved = ["--config-path", "run/.hydra", "--config-name", "config"]

    assert main([*saved, "strategy.lr=0.2", "hydra.run.dir=again"]) == 0
    capsys.readouterr()
    assert main([*saved, "strategy=replay"]) == 2

    assert "strategy=replay: a saved run takes keys alone" in capsys.readouterr().err


@pytest.mark.parametrize("log", ["hydra/job_logging=none", "hydra/job_logging=clrun"])
def test_no_message_sends_to_a_log_that_is_not_there(
    log: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"clrun_own_failing_{log[-4:]}"
    option = project / "conf" / "strategy" / "mine.yaml"
    option.write_text(option.read_text().replace("clrun_own_code", module))
    failing = "    def learn(self, experience, *_):\n        raise ZeroDivisionError('so')\n"
    (project / f"{module}.py").write_text(f"{CODE}\n{failing}        yield\n")

    assert (
        main(["--trust", "--config-dir", "conf", "strategy=mine", *QUICK, "hydra.run.dir=run", log])
        == 1
    )

    assert ("traceback is in" in capsys.readouterr().err) == (log[-4:] != "none")
    assert bool(list((project / "run").glob("*.log"))) == (log[-4:] != "none")


def test_a_file_that_starts_from_nothing_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = project / "conf" / "strategy" / "mine.yaml"
    option.write_text("target: clrun.strategies.naive:Naive\nlr: 0.1\ntrain_epochs: 1\n")

    assert main(["--config-dir", "conf", "strategy=mine"]) == 2

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("clrun: strategy: momentum, l2,")
    assert "`defaults: [OURS, _self_]`" in line
