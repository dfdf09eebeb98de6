"""The habits of a Hydra user: what can be typed, and what is found in the run folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from clrun.cli.main import main
from clrun.config.sources import conf_root

QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")


def saved(folder: Path, name: str) -> Any:
    return yaml.safe_load((folder / ".hydra" / f"{name}.yaml").read_text())


def test_the_folder_has_what_hydra_saves_with_the_words_as_they_were_typed(workplace: Path) -> None:
    assert main([*QUICK, "++seed=3", "hydra.run.dir=a/run", "hydra.job.name=mine"]) == 0

    run, hydra_node = workplace / "a" / "run", saved(workplace / "a" / "run", "hydra")["hydra"]
    assert saved(run, "overrides") == [*QUICK, "++seed=3"]
    assert saved(run, "config")["seed"] == 3
    assert "hydra" not in saved(run, "config")
    assert hydra_node["overrides"] == {
        "hydra": ["hydra.run.dir=a/run", "hydra.job.name=mine"],
        "task": [*QUICK, "++seed=3"],
    }
    assert (hydra_node["mode"], hydra_node["run"]["dir"]) == ("RUN", "a/run")
    assert hydra_node["runtime"]["output_dir"] == str(run)
    assert hydra_node["runtime"]["cwd"] == str(workplace)
    assert "completed" in (run / "mine.log").read_text()


def test_a_folder_s_name_may_hold_the_overrides(workplace: Path) -> None:
    assert main([*QUICK, "hydra.run.dir=runs/${hydra:job.override_dirname}"]) == 0

    [folder] = (workplace / "runs").iterdir()
    assert folder.name == ",".join(sorted(QUICK))


def test_a_job_may_run_in_its_folder(workplace: Path) -> None:
    assert main([*QUICK, "hydra.job.chdir=true", "hydra.run.dir=run"]) == 0

    assert (workplace / "run" / "results.json").is_file()
    assert not (workplace / "run" / "run").exists()
    assert Path.cwd() == workplace


def test_hydra_s_folder_and_log_can_be_left_out(workplace: Path) -> None:
    words = ("hydra.output_subdir=null", "hydra/job_logging=none", "hydra.run.dir=run")

    assert main([*QUICK, *words]) == 0

    assert not list((workplace / "run").glob("*.log"))
    assert saved(workplace / "run", "config")["seed"] == 0  # ours: a run can always be repeated


def test_verbose_shows_how_hydra_composed(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "hydra.verbose=true", "hydra.run.dir=run"]) == 0

    shown = capsys.readouterr().out
    assert "Defaults Tree" in shown
    assert "[HYDRA]" in shown


CALLBACK = """
import os
from hydra.experimental.callback import Callback

class Noting(Callback):
    def on_run_start(self, config, **_): print("run starts", config.seed)
    def on_job_start(self, config, **_): print("job starts", os.environ["NOTED"])
    def on_job_end(self, config, job_return, **_): print("job ends", job_return.status.name)
    def on_run_end(self, config, job_return, **_): print("run ends", job_return.status.name)
"""


@pytest.mark.filterwarnings("ignore:hydra.utils.instantiate")  # what 1.4 says of each _target_
@pytest.mark.parametrize(
    ("words", "code", "status"), [((), 0, "COMPLETED"), (("strategy.lr=1e30",), 6, "FAILED")]
)
def test_callbacks_are_called_and_the_environment_is_set(
    words: tuple[str, ...],
    code: int,
    status: str,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (workplace / "noting_callback.py").write_text(CALLBACK)
    monkeypatch.syspath_prepend(workplace)
    callback = "+hydra.callbacks.noting._target_=noting_callback.Noting"

    assert main([*QUICK, *words, callback, "+hydra.job.env_set.NOTED=yes"]) == code

    shown = [line for line in capsys.readouterr().out.splitlines() if line[:3] in ("run", "job")]
    assert shown == ["run starts 0", "job starts yes", f"job ends {status}", f"run ends {status}"]
    assert "NOTED" not in os.environ


def test_an_option_of_ones_own_wins_over_ours_in_the_run_and_in_what_is_saved(
    workplace: Path,
) -> None:
    option = workplace / "mine" / "eval" / "full.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(
        "target: clrun.runner.evaluation:Evaluation\nstream: test\nexperiences: all\n"
        "initial: false\nlimit_per_experience: 5\n"
    )

    assert main([*QUICK, "--config-dir", "mine", "hydra.run.dir=run"]) == 0

    results = json.loads((workplace / "run" / "results.json").read_text())
    assert [e["test_rows"] for e in results["experiences"]] == [5] * 5
    assert saved(workplace / "run", "config")["eval"]["limit_per_experience"] == 5


def test_every_unknown_key_is_named_at_once(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "strategy.foo=1", "+bar=2", "strategy.lr=x"]) == 2

    shown = capsys.readouterr().err
    for key in ("strategy.foo", "bar", "strategy.lr=x"):
        assert key in shown
    assert not list(workplace.iterdir())


def test_an_error_that_nobody_expected_leads_to_its_traceback(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "broken_strategy.py").write_text(BROKEN)
    option = workplace / "mine" / "strategy" / "broken.yaml"
    option.parent.mkdir(parents=True)
    shutil.copy(conf_root() / "strategy" / "naive.yaml", option)
    option.write_text(
        option.read_text().replace("clrun.strategies.naive:Naive", "broken_strategy:Broken")
    )
    monkeypatch.syspath_prepend(workplace)

    code = main(
        ["--trust", "--config-dir", "mine", "strategy=broken", "device=cpu", "hydra.run.dir=run"]
    )

    shown = capsys.readouterr().err
    log = workplace / "run" / "clrun.log"
    assert code == 1
    assert shown == f"clrun: ZeroDivisionError: as it happens (the traceback is in {log})\n"
    assert "as it happens" in log.read_text()
    assert json.loads((workplace / "run" / "run.json").read_text())["status"] == "failed"


BROKEN = """
from dataclasses import dataclass

from clrun.strategies.naive import Naive

class Broken(Naive):
    @dataclass(frozen=True, kw_only=True)
    class Config(Naive.Config):
        pass

    def learn(self, experience, *_):
        raise ZeroDivisionError("as it happens")
        yield
"""


def test_nothing_of_hydra_is_left_behind(workplace: Path) -> None:
    before = HydraConfig.instance().cfg  # of whoever used Hydra in this process before

    assert main([*QUICK, "hydra.run.dir=run"]) == 0

    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is before
