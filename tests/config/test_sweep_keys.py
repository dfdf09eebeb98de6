"""How the jobs of a sweep are run is checked like any key, and is no part of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clrun.cli.main import main
from clrun.config.check import check_sweep
from clrun.config.compose import compose, initialized
from clrun.config.run_config import RunConfig, SweepKeys
from clrun.config.sweep import Sweep
from clrun.config.sweep_words import read_sweep
from clrun.errors import ConfigError
from clrun.records.run_folder import RunFolder


def swept(*words: str) -> Sweep:
    with initialized() as app:
        return read_sweep(app, "config", ["seed=0,1", *words])


def test_they_change_neither_hash_nor_record_of_a_run() -> None:
    plain, told = compose([]), compose(["sweep.retries=7", "launcher.workers=3", "sweep.share=off"])

    assert told.sweep == SweepKeys(retries=7, share=False)
    assert told.launcher is not None
    assert told.launcher.values["workers"] == 3
    assert told.hash() == plain.hash()
    assert {**told.plain(), "overrides": []} == plain.plain()
    assert told.as_dict() == plain.as_dict()


def test_a_record_of_before_is_read() -> None:
    before = json.loads(json.dumps(compose([]).plain()))
    before["root"]["max_jobs"] = 10_000

    assert RunConfig.of_plain(before) == compose([])


@pytest.mark.parametrize("more", [{}, {"max_jobs": 10_000}], ids=["now", "before"])
def test_a_saved_run_is_the_whole_configuration_of_a_sweep(
    more: dict[str, int], workplace: Path
) -> None:
    folder = RunFolder(workplace / "run")
    folder.keep_config(compose(["strategy=naive"]))
    folder.close()
    saved = workplace / "run" / ".hydra" / "config.yaml"
    saved.write_text(saved.read_text() + "".join(f"{key}: {more[key]}\n" for key in more))

    with initialized(config_path=saved.parent) as app:
        sweep = read_sweep(app, "config", ["seed=0,1"])
        found = list(sweep.checked().values())

    assert [config.seed for config in found] == [0, 1]
    assert sweep.engine == "local"
    assert check_sweep(sweep.tree) == (SweepKeys(), None)


def test_the_old_place_of_a_key_says_where_it_is_now(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["max_jobs=5"], ["-m", "max_jobs=5", "seed=1,2"], ["-m", "+max_jobs=5"]):
        assert main(words) == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["clrun: max_jobs=5: use sweep.max_jobs=5."] * 2
    assert "use sweep.max_jobs=5." in lines[2]
    assert not list(workplace.iterdir())


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        ((), "local"),
        (("launcher=slurm",), "slurm"),
        (("hydra/launcher=local",), "local"),
        (("hydra/launcher=slurm",), "slurm"),
        (("hydra/launcher=slurm", "launcher=slurm"), "slurm"),
        (("hydra/launcher=basic",), None),
        (("hydra.job.chdir=true",), "local"),
        (("hydra/sweeper=basic",), "local"),
        (("+hydra.job.env_set.A=b",), "local"),
        (("+hydra.callbacks.mine._target_=mine.Mine",), "local"),
    ],
)
def test_what_is_said_of_the_launcher_decides_who_runs_the_jobs(
    words: tuple[str, ...], engine: str | None
) -> None:
    sweep = swept(*words)

    assert sweep.engine == engine
    assert [len(job) for job in sweep.jobs()] == [1, 1]


def recipe(workplace: Path, text: str) -> None:
    path = workplace / "mine" / "experiment" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"# @package _global_\n{text}\n")


def test_what_is_typed_wins_over_what_a_recipe_sweeps_over(workplace: Path) -> None:
    recipe(workplace, "hydra: {sweeper: {params: {seed: '0,1', strategy.lr: '0.1,0.2'}}}")

    with initialized([workplace / "mine"]) as app:
        sweep = read_sweep(app, "config", ["experiment=mine", "seed=5,6,7"])

    assert sweep.swept == ("strategy.lr", "seed")
    assert [job for job in sweep.jobs() if "strategy.lr=0.2" in job] == [
        ("strategy.lr=0.2", "experiment=mine", f"seed={seed}") for seed in (5, 6, 7)
    ]
    assert len(sweep.jobs()) == 6


def test_a_recipe_may_say_which_launcher_of_hydras_it_wants(workplace: Path) -> None:
    recipe(workplace, "defaults:\n  - override /hydra/launcher: slurm")

    with initialized([workplace / "mine"]) as app:
        sweep = read_sweep(app, "config", ["seed=0,1", "experiment=mine"])

    assert sweep.engine == "slurm"
    assert check_sweep(sweep.tree)[1].option == "slurm"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-m", "launcher=local,slurm"], "launcher=local,slurm: is for all jobs of a sweep."),
        (["-m", "sweep.retries=0,1"], "sweep.retries=0,1: is for all jobs of a sweep."),
        (["-m", "hydra/launcher=slurm", "launcher=local"], "says another. Leave one out."),
        (["sweep.retries=1"], "sweep.retries=1: only a sweep reads this. Add -m."),
        (["launcher.workers=1"], "launcher.workers=1: only a sweep reads this. Add -m."),
        (["--force"], "--force: only a sweep has it. Add -m."),
        (["--retry-failed"], "--retry-failed: only a sweep has it. Add -m."),
        (["-m", "--cfg", "job", "--force"], "--force: only a sweep that runs has it."),
        (["-m", "hydra/launcher=basic", "sweep.retries=1"], "does not read this."),
        (["-m", "hydra/launcher=basic", "--force"], "only clrun's own launchers have it."),
        (["-m", "seed=0,1", "sweep.retrys=1"], "sweep.retrys=1: there is no such key."),
        (["-m", "seed=0,1", "+launcher.wrkers=1"], "Did you mean 'workers'?"),
    ],
)
def test_what_no_job_can_have_is_refused_in_a_line(
    words: list[str], line: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2

    shown = capsys.readouterr().err
    assert line in shown
    assert len(shown.splitlines()) == 1
    assert not list(workplace.iterdir())


def test_a_launcher_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launcher=lokal"]) == 2

    assert "Did you mean 'local'?" in capsys.readouterr().err


def test_help_and_lists_know_the_launchers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "launcher=local"]) == 0
    assert main(["list", "launchers"]) == 0

    shown = capsys.readouterr().out
    assert "launcher.workers=null  (whole number, at least 1, or null)" in shown
    assert "  local  Worker processes on this machine." in shown


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("clrun launcher=", "launcher=local"),
        ("clrun launcher.wor", "launcher.workers="),
        ("clrun sweep.on", "sweep.on_error="),
        ("clrun sweep.on_error=", "sweep.on_error=stop"),
        ("clrun -m --retry", "--retry-failed"),
    ],
)
def test_completion_knows_them(
    typed: str, offered: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", typed)

    assert main(["-sc", "query=bash"]) == 0

    assert offered in capsys.readouterr().out.split()


def test_every_key_of_a_sweep_has_a_value_in_the_primary_configuration() -> None:
    [tree] = [swept().tree]

    assert set(tree.sweep) == set(SweepKeys.__dataclass_fields__)
    assert compose([]).sweep == SweepKeys()  # which old records are read with


def test_a_sweep_of_more_jobs_than_its_key_allows_is_refused_before_they_are_made() -> None:
    with pytest.raises(ConfigError, match=r"2 jobs. A sweep has at most sweep.max_jobs=1"):
        swept("sweep.max_jobs=1").jobs()
