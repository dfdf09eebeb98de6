"""`clrun tune`: what a study prints and writes, what it refuses, and that it goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import clrun
from clrun.cli.main import main
from clrun.sweep.manifest import read_manifest
from clrun.sweep.outcomes import read_outcome
from clrun.sweep.tuning.record import best, read_study, read_trials, scores, write_study

SHORT = ("strategy=naive", "strategy.train_epochs=1", "benchmark.limit_per_class=20")
GRID = ("strategy.optimizer=sgd,adam", "strategy.momentum=0,0.9", "--sampler", "grid", "seed=0,1")


def tuned(folder: Path, *words: str) -> int:
    return main(["tune", *SHORT, *words, f"hydra.sweep.dir={folder}"])


def attempts(study: Path) -> list[int]:
    """Processes that were started for each job."""
    outcomes = [read_outcome(study, job.number) for job in read_manifest(study)]
    return [0 if outcome is None else outcome.attempts for outcome in outcomes]


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> tuple[Path, str]:
    """A finished study of four points, and what it printed."""
    folder, told = tmp_path_factory.mktemp("tune"), pytest.MonkeyPatch()
    told.chdir(folder)
    command = [sys.executable, "-m", "clrun", "tune", *SHORT, *GRID, "hydra.sweep.dir=study"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    told.undo()
    assert ended.returncode == 0, ended.stderr
    return folder / "study", ended.stdout + ended.stderr


def test_trials_see_the_first_experiences_and_validation_rows(grid):
    study, _ = grid

    for job in read_manifest(study):
        folder = study / job.folder
        results = json.loads((folder / "results.json").read_text())
        log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert job.config["root"]["first_experiences"] == 3
        assert job.config["nodes"]["benchmark"]["values"]["validation_fraction"] == 0.1
        assert [len(row) for row in results["accuracy_matrix"]] == [3, 3, 3]
        assert {line["stream"] for line in log if line["kind"] == "eval"} == {"validation"}
        assert max(line["experience"] or 0 for line in log) == 2


def test_a_point_that_cannot_be_is_told_as_failed(grid):
    study, printed = grid

    trials = read_trials(study)
    wrong = [trial for trial in trials if trial.wrong is not None]

    assert len(trials) == 4
    assert [dict(t.values) for t in wrong] == [
        {"strategy.optimizer": "adam", "strategy.momentum": "0.9"}
    ]
    assert f"failed: trial {wrong[0].number}, " in printed
    assert "adam has no such momentum" in printed


def test_the_score_of_a_trial_is_the_mean_over_its_seeds(grid):
    study, _ = grid

    found = scores(study, read_study(study), read_trials(study), read_manifest(study))

    for score in (score for score in found if score.value is not None):
        folders = [study / read_manifest(study)[number].folder for number in score.trial.jobs]
        values = [json.loads((f / "results.json").read_text())["metrics"] for f in folders]
        assert len(values) == 2
        assert score.value == pytest.approx(sum(v["acc_final"] for v in values) / 2)


def test_the_configuration_as_it_is_comes_first(grid):
    study, printed = grid

    assert dict(read_trials(study)[0].values) == dict(read_study(study).usual)
    assert "trial 0: strategy.optimizer=sgd strategy.momentum=0 (as configured)" in printed


def test_the_best_values_are_a_recipe_for_the_full_stream(grid):
    study, printed = grid
    found = scores(study, read_study(study), read_trials(study), read_manifest(study))
    chosen = best(read_study(study), found)
    words = [f"{key}={value}" for key, value in chosen.trial.values.items()]

    recipe = clrun.compose(["experiment=best"], config_dirs=[study])

    assert recipe.hash() == clrun.compose([*SHORT, *words]).hash()
    assert recipe.root.first_experiences is None
    assert recipe.nodes["eval"].values["stream"] == "test"
    assert f"clrun -m --config-dir {study} experiment=best 'seed=range(2,7)'" in printed


def test_rows_held_out_are_those_of_trials_alone(workplace):
    words = ["benchmark.validation_fraction=0.2", "strategy.lr=0.1,0.2", "--at-once", "2"]

    assert tuned(Path("study"), *words) == 0

    study, recipe = (
        read_study(Path("study")),
        clrun.compose(["experiment=best"], config_dirs=[Path("study").absolute()]),
    )
    assert "benchmark.validation_fraction=0.2" in study.trial_words
    assert recipe.nodes["benchmark"].values["validation_fraction"] == 0


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("first_experiences: 2", "first_experiences=2: so the full stream would not be full."),
        (
            "eval: {stream: validation}\nbenchmark: {validation_fraction: 0.2}",
            "eval.stream=validation: so the full stream would be untested.",
        ),
    ],
)
def test_a_recipe_whose_runs_are_trials_already(lines, said, workplace, capsys):
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/few.yaml").write_text(f"# @package _global_\n{lines}\n")

    assert tuned(Path("study"), "--config-dir", "conf", "experiment=few") == 2
    assert said in capsys.readouterr().err
    assert not Path("study").exists()


def test_the_seed_of_trials_is_the_configurations_and_a_fraction_of_nothing_is_none(workplace):
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/third.yaml").write_text("# @package _global_\nseed: 3\n")
    words = ("--config-dir", "conf", "experiment=third", "benchmark.validation_fraction=0.0")

    assert tuned(Path("study"), *words, "strategy.lr=0.1,0.2", "--trials", "1", "--seeds", "2") == 0

    study = read_study(Path("study"))
    assert (study.seeds, study.full_seeds) == ((3,), (4, 5))
    assert study.trial_words[-1] == "benchmark.validation_fraction=0.1"


def test_what_is_not_said_is_said(grid):
    assert "validation_fraction=0 holds nothing out: trials take 0.1" in grid[1]


def test_a_trial_that_is_over_is_counted_and_called_by_its_number_in_the_files(grid):
    study, printed = grid

    lines = [line for line in printed.splitlines() if re.match(r"\d of 4  trial \d: ", line)]

    assert sorted(line.split()[0] for line in lines) == ["1", "2", "3", "4"]
    names = {
        str(trial.number): " ".join(f"{k}={v}" for k, v in trial.values.items())
        for trial in read_trials(study)
    }
    for line in lines:
        number = line.split()[4].rstrip(":")
        assert names.pop(number) in line


def test_the_status_of_a_finished_study_says_which_rows_and_the_best_trial(grid, capsys):
    study, printed = grid
    found = scores(study, read_study(study), read_trials(study), read_manifest(study))
    chosen = best(read_study(study), found)

    assert main(["status", str(study)]) == 0
    shown = capsys.readouterr().out

    rows = "the validation rows of the first 3 experiences."
    assert f"study: 4 of 4 trials are over; every accuracy is of {rows}" in shown
    [line] = [line for line in shown.splitlines() if line.startswith("best of 4: ")]
    assert line.startswith(f"best of 4: trial {chosen.trial.number}, ")
    assert line.endswith(f"acc_final {chosen.value:.4f} on {rows}")
    assert line in printed
    assert f"Results: {study}" in shown
    assert "To go on" not in shown

    assert main(["status", str(study), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["study"]
    assert (said["rows"], said["experiences"], said["trials"], said["over"]) == (
        "validation",
        3,
        4,
        4,
    )
    assert said["best"] == {
        "trial": chosen.trial.number,
        "values": dict(chosen.trial.values),
        "value": chosen.value,
    }


def test_the_status_of_a_study_between_its_rounds_says_how_to_go_on(grid, tmp_path, capsys):
    study = tmp_path / "study"
    shutil.copytree(grid[0], study)
    write_study(study, replace(read_study(study), trials=6))

    assert main(["status", str(study)]) == 0

    shown = capsys.readouterr().out.splitlines()
    assert shown[0].endswith("completed.")
    assert any(line.startswith("study: 4 of 6 trials are over;") for line in shown)
    assert any(line.startswith("best of 4 so far: trial ") for line in shown)
    assert shown[-1] == f"To go on: clrun resume {study}"


def test_a_finished_study_is_told_again_and_nothing_is_run(grid, capsys):
    study, printed = grid
    before = attempts(study)

    assert main(["resume", str(study)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("To run it on the full stream, tested: clrun -m --config-dir")
    assert last in printed
    assert attempts(study) == before


@pytest.mark.parametrize(
    ("words", "other"),
    [
        (("strategy.optimizer=sgd,adamw", *GRID[1:]), "other space"),
        (GRID[:-1], "other seeds"),
        ((*GRID, "strategy.l2=0.1"), "other words"),
    ],
)
def test_a_folder_is_one_studys(grid, words, other, capsys):
    assert tuned(grid[0], *words) == 3
    assert f"is the folder of another study, with {other}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["strategy.lrr=0.1,0.2"], "strategy.lrr=0.1: there is no such key. Did you mean 'lr'?"),
        (["strategy.lr=0.1,-1"], "strategy.lr=-1: must be above 0."),
        (["strategy.lr=interval(1,0)"], "its first end must be below its second one"),
        (["strategy.lr=0.1,0.2", "first_experiences=2"], "Use --experiences."),
        (["strategy.lr=0.1,0.2", "eval.stream=test"], "scored on validation rows. Leave it out."),
        (["--experiences", "6"], "--experiences 6: the stream has 5. Use fewer of them."),
        (["--metric", "acc"], "--metric acc: no such metric."),
        (["--seed", "-1"], "--seed: -1: must be a whole number of at least 0"),
        (["--trials", "0"], "0: must be a whole number of at least 1"),
        (["--sampler", "grid"], "has too many values to try all. List them: strategy.lr=VALUE"),
        (["seed=interval(0,1)"], "list different whole numbers, e.g. seed=0,1,2."),
        (["hydra/launcher=basic"], "trials are run by launcher=local, slurm or ray"),
        (["hydra/sweeper=optuna"], "To search the best values without one: clrun tune."),
        (["--trails", "3"], "Did you mean '--trials'?"),
        (["-m", "strategy.lr=0.1,0.2"], "-m: the trials of a study are jobs of a sweep without it"),
        (["--multirun"], "--multirun: the trials of a study are jobs"),
        (["+eval.stream=validation", "strategy.lr=0.1,-1"], "strategy.lr=-1: must be above 0."),
    ],
)
def test_words_that_are_no_study(words, said, workplace, capsys):
    assert main(["tune", *SHORT, *words]) == 2
    assert said in capsys.readouterr().err
    assert list(workplace.iterdir()) == []


def test_without_optuna(workplace, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)

    assert main(["tune"]) == 2
    assert 'Install it with: pip install "clrun[tune]"' in capsys.readouterr().err


SCRIPTS = Path(__file__).parents[2] / "scripts"
"""where peeking.py is"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "AtTheNextExperience",
            "experiences[3]: a run with first_experiences=3 may open the first 3 of",
        ),
        ("AtTheTestStream", "experiences[0].test: a run with eval.stream=validation may not open"),
    ],
)
def test_a_strategy_that_peeks_ends_the_study(name, said, workplace, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SCRIPTS), *sys.path]))
    monkeypatch.syspath_prepend(SCRIPTS)
    words = [*SHORT, f"strategy.target=peeking:{name}", "strategy.lr=0.1,0.2", "--at-once", "1"]

    assert main(["tune", *words, "hydra.sweep.dir=study"]) == 1

    assert f"trial 0: {said}" in capsys.readouterr().err
    assert len(read_trials(Path("study"))) == 1
    assert not Path("study", "experiment").exists()


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_the_same(workplace):
    words = ["strategy.lr=tag(log,interval(0.01,1))", "strategy.momentum=0,0.9", "--trials", "6"]
    command = [sys.executable, "-m", "clrun", "tune", *SHORT, *words, "--at-once", "2"]
    subprocess.run([*command, "hydra.sweep.dir=whole"], check=True, capture_output=True)

    command.append("hydra.sweep.dir=cut")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith(("3 of 6", "4 of 6")) for line in lines)
        process.send_signal(signal.SIGKILL)
    over = [n for n, count in enumerate(attempts(Path("cut"))) if count]
    before = [Path("cut") / read_manifest(Path("cut"))[n].folder for n in over]
    times = [os.stat(folder / "results.json").st_mtime_ns for folder in before]
    time.sleep(1)  # its jobs end with it

    resumed = [sys.executable, "-m", "clrun", "resume", "cut"]
    subprocess.run(resumed, check=True, capture_output=True)

    assert times == [os.stat(folder / "results.json").st_mtime_ns for folder in before]
    assert Path("cut/trials.jsonl").read_bytes() == Path("whole/trials.jsonl").read_bytes()
    found = [
        scores(study, read_study(study), read_trials(study), read_manifest(study))
        for study in (Path("cut"), Path("whole"))
    ]
    assert found[0] == found[1]
