"""What jobs share at their beginning: the tree of it, and sweeps with and without."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing_runs import lines, results
from making_sweeps import written_sweep
from safetensors.torch import load_file

from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.config.run_config import RunConfig
from clrun.records.raw_log import read_raw_log
from clrun.records.run_folder import read_record
from clrun.runner.prepare import prepare
from clrun.sweep.manifest import Job
from clrun.sweep.prefix import units
from clrun.sweep.record import SweepOptions
from clrun.sweep.sharing import latents_of
from clrun.sweep.unit import Unit
from clrun.sweep.worker import Worker

TINY = (
    *("strategy=ar1", "model=mlp", "model.hidden=[16,16]", "strategy.train_epochs=1"),
    *("strategy.latent_layer=features.relu0", "strategy.train_mb_size=16", "device=cpu"),
    *("benchmark.n_experiences=2", "benchmark.limit_per_class=12", "strategy.lr=0.05"),
)
GRID = [
    (f"strategy.rm_sz={rm_sz}", f"strategy.ewc_lambda={ewc_lambda}")
    for rm_sz in (5, 20)
    for ewc_lambda in (0, 1, 50)
]


def needed(unit: Unit) -> list[Moment]:
    """The moments at which what a unit shares with others ends, the last one first."""
    found = []
    while unit.needs is not None:
        unit = unit.needs
        found.append(unit.until)
    return found


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / "model.safetensors")


def own(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "shared"} for line in lines(folder)]


def worked(path: Path, options: SweepOptions, slots: int = 2) -> None:
    ended = Worker(path, slots, options, lambda event: None).run()
    assert (ended.failed, ended.signal) == (0, None)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[tuple[Job, ...], Path, Path]:
    """The jobs of a sweep, and its folder where they share and where they do not."""
    shared, alone = (tmp_path_factory.mktemp("sweeps") / name for name in ("shared", "alone"))
    jobs = written_sweep(shared, GRID, common=TINY)
    worked(shared, SweepOptions())
    written_sweep(alone, GRID, common=TINY, options=SweepOptions(share=False))
    worked(alone, SweepOptions(share=False))
    return jobs, shared, alone


def test_jobs_that_share_have_the_bits_of_jobs_that_do_not(both):
    jobs, shared, alone = both

    for job in jobs:
        one, other = shared / job.folder, alone / job.folder
        assert results(one) == results(other)
        assert own(one) == own(other)
        a, b = weights(one), weights(other)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_lines_of_what_is_shared_stand_in_each_job_and_are_marked(both):
    jobs, shared, alone = both
    learnt = {
        job.folder: [line.get("shared") for line in lines(shared / job.folder)] for job in jobs
    }

    for job in jobs:
        marks = learnt[job.folder]
        count = sum(mark is True for mark in marks)
        assert marks == [True] * count + [None] * (len(marks) - count)
        kinds = [line["kind"] for line in lines(shared / job.folder)[:count]]
        assert kinds[-1] == ("epoch" if "ewc_lambda=0" in str(job.overrides) else "resource")
        assert read_record(shared / job.folder)["shared"]["name"]
    assert not any("shared" in line for job in jobs for line in lines(alone / job.folder))


def test_the_seconds_of_what_is_shared_count_in_each_job(both):
    jobs, shared, _ = both

    for job in jobs:
        raw = read_raw_log(shared / job.folder / "metrics.jsonl")
        seconds = [line["seconds"] for line in raw]
        assert seconds == sorted(seconds)
        spent = json.loads((shared / job.folder / "results.json").read_text())["cost"]
        in_lines = sum(
            line["wall_seconds"]["train"] for line in raw if line["kind"] == "experience"
        )
        assert in_lines == pytest.approx(spent["wall_seconds"]["train"], abs=0.01)
        assert spent["train_steps"] == raw[-1]["iteration"]


def test_what_is_shared_was_trained_once(both):
    jobs, shared, _ = both
    planned = units(shared, jobs, SweepOptions())
    begun = {unit.needs.folder for unit in planned if unit.needs} | {
        unit.needs.needs.folder for unit in planned if unit.needs and unit.needs.needs
    }

    assert len(begun) == 1 + 2
    assert {path for path in (shared / ".sweep" / "shared").iterdir() if path.is_dir()} == begun
    started = [
        json.loads(line)
        for log in (shared / ".sweep" / "log").iterdir()
        for line in log.read_text().splitlines()
    ]
    names = [line["unit"] for line in started if line["event"] == "started"]
    assert len(names) == len(set(names)) == len(jobs) + len(begun)


def test_the_tree_has_a_part_for_all_and_parts_for_those_with_a_penalty(tmp_path):
    jobs = written_sweep(tmp_path, GRID, common=TINY)

    planned = units(tmp_path, jobs, SweepOptions())

    assert [unit.job for unit in planned] == list(jobs)
    for unit, point in zip(planned, GRID, strict=True):
        alone = "strategy.ewc_lambda=0" in point
        assert needed(unit) == ([FIRST_LEARNT] if alone else [SECOND, FIRST_LEARNT])
        leader = next(u for u in chain(unit) if u.until == FIRST_LEARNT)
        assert leader.config["nodes"]["strategy"]["values"]["ewc_lambda"] > 0


def chain(unit: Unit) -> list[Unit]:
    return [unit, *(chain(unit.needs) if unit.needs else [])]


def test_nothing_is_shared_without_the_option(tmp_path):
    jobs = written_sweep(tmp_path, GRID, common=TINY)

    assert not any(unit.needs for unit in units(tmp_path, jobs, SweepOptions(share=False)))


@pytest.mark.parametrize(
    "points",
    [
        [("seed=0",), ("seed=1",)],
        [("strategy.lr=0.1",), ("strategy.lr=0.2",)],
        [("log_every=1",), ("log_every=2",)],
        [("strategy=joint", "model=mlp", "strategy.lr=0.1"), ("strategy=joint", "model=mlp")],
        [("strategy.memory_update=minibatch", f"strategy.mem_size={size}") for size in (5, 9)],
    ],
    ids=["seed", "lr", "log_every", "joint", "online"],
)
def test_what_acts_from_the_first_update_is_not_shared(points, tmp_path):
    jobs = written_sweep(tmp_path, points, common=("device=cpu",))

    assert not any(unit.needs for unit in units(tmp_path, jobs, SweepOptions()))


@pytest.mark.parametrize("word", ["benchmark.n_experiences=1", "first_experiences=1"])
def test_nothing_is_shared_until_an_experience_that_there_is_not(word, tmp_path):
    points = [(f"strategy.ewc_lambda={weight}", word) for weight in (1, 50)]
    jobs = written_sweep(tmp_path, points, common=TINY)

    planned = units(tmp_path, jobs, SweepOptions())

    assert [needed(unit) for unit in planned] == [[FIRST_LEARNT]] * 2


def test_more_jobs_leave_what_others_share_as_it_was(tmp_path):
    first = written_sweep(tmp_path, GRID[:4], common=TINY)
    before = units(tmp_path, first, SweepOptions())
    more = written_sweep(tmp_path, GRID, common=TINY)
    after = units(tmp_path, more, SweepOptions())

    was = [unit.needs.folder for unit in before if unit.needs]
    assert [unit.needs.folder for unit in after[: len(first)] if unit.needs] == was


def test_a_beginning_that_fails_is_trained_by_each_job(tmp_path):
    path = tmp_path / "sweep"
    jobs = written_sweep(path, GRID[:3], common=TINY)
    blocked = units(path, jobs, SweepOptions())[0].needs
    assert blocked is not None
    blocked.folder.write_text("no folder")

    worked(path, SweepOptions())

    assert all(read_record(path / job.folder)["status"] == "completed" for job in jobs)
    assert not any("shared" in read_record(path / jobs[0].folder) for job in jobs)


def test_a_job_goes_on_whose_shared_beginning_is_gone(both, tmp_path, caplog):
    from clrun.records.unfinished import open_unfinished
    from clrun.runner.resume import continuation
    from clrun.runner.run import run

    jobs, shared, alone = both
    path = tmp_path / "sweep"
    shutil.copytree(shared, path)
    folder = path / jobs[0].folder
    record = json.loads((folder / "run.json").read_text())
    for key in ("status", "states"):
        record.pop(key)
    (folder / "run.json").write_text(json.dumps({**record, "status": "running"}))
    for name in ("results.json", "accuracy_matrix.csv"):
        (folder / name).unlink()
    shutil.rmtree(folder / "checkpoints")

    def go_on() -> None:
        unfinished = open_unfinished(folder)
        assert unfinished is not None
        again = continuation(unfinished)
        run(again.prepared, unfinished.folder, resumed=again.state, is_latest=False)

    again = path.parent / "again"
    shutil.copytree(path, again)
    go_on()
    assert own(folder) == own(alone / jobs[0].folder)
    assert lines(folder)[0]["shared"]

    shutil.rmtree(again / ".sweep" / "shared")
    folder = again / jobs[0].folder
    caplog.clear()
    go_on()
    assert "shares none" in caplog.text
    assert own(folder) == own(alone / jobs[0].folder)
    assert not any("shared" in line for line in lines(folder))


def test_points_of_different_streams_are_grown_apart(tmp_path):
    points: Sequence[Sequence[str]] = [
        (*point, f"seed={seed}") for seed in (0, 1) for point in GRID
    ]
    jobs = written_sweep(tmp_path, points, common=TINY)

    planned = units(tmp_path, jobs, SweepOptions())

    roots = [chain(unit)[-1].folder for unit in planned]
    assert len(set(roots[:6])) == len(set(roots[6:])) == 1
    assert roots[0] != roots[6]


LONG = (*TINY, "strategy.train_epochs=40", "checkpoint.every_steps=5")
"""Long enough to be killed in the middle."""


def test_a_shared_beginning_that_is_killed_is_gone_on_with(tmp_path):
    points = GRID[1:3]
    jobs = written_sweep(tmp_path / "sweep", points, common=LONG)
    worker = subprocess.Popen([sys.executable, "-m", "clrun", "worker", str(tmp_path / "sweep")])
    try:
        while not list(tmp_path.glob("sweep/.sweep/shared/*/checkpoints/*.json")):
            assert worker.poll() is None
            time.sleep(0.02)
    finally:
        worker.kill()
        worker.wait()

    assert not list(tmp_path.glob("sweep/*/run.json"))
    worked(tmp_path / "sweep", SweepOptions())
    alone = SweepOptions(share=False)
    written_sweep(tmp_path / "alone", points, common=LONG, options=alone)
    worked(tmp_path / "alone", alone)
    (log,) = tmp_path.glob("sweep/.sweep/shared/*/clrun.log")
    assert log.read_text().count("stopped at the") == 1
    for job in jobs:
        one, other = tmp_path / "sweep" / job.folder, tmp_path / "alone" / job.folder
        assert results(one) == results(other)
        assert own(one) == own(other)
        assert lines(one)[0]["shared"]


def test_latents_go_when_every_job_is_completed(both):
    _, shared, _ = both

    assert not (shared / ".sweep" / "latents").exists()


def test_latents_of_models_with_other_keys_are_not_mixed_up(tmp_path):
    """A forward may read a key that neither weights nor the layers' text show."""
    points = [
        (f"strategy.lr={lr}", f"model.hidden=[{size},16]") for size in (16, 8) for lr in (0.1, 0.2)
    ]
    jobs = written_sweep(tmp_path / "sweep", points, common=(*TINY, "strategy.freeze_from=0"))
    found = []
    for unit in units(tmp_path / "sweep", jobs, SweepOptions()):
        latents = latents_of(unit, prepare(RunConfig.of_plain(unit.config)))
        assert latents is not None
        found.append(latents.facts)

    assert [found.index(facts) for facts in found] == [0, 0, 2, 2]


def test_what_is_frozen_from_the_first_experience_is_shared_too(tmp_path):
    common = (*TINY, "strategy.freeze_from=0")
    points = [("strategy.rm_sz=5", f"strategy.lr={lr}") for lr in (0.1, 0.2)]
    jobs = written_sweep(tmp_path / "sweep", points, common=common)
    planned = units(tmp_path / "sweep", jobs, SweepOptions())

    assert not any(unit.needs for unit in planned)
    assert planned[0].latents == planned[1].latents is not None
    ended = Worker(
        tmp_path / "sweep", 1, SweepOptions(), lambda event: None, units=planned[:1]
    ).run()
    assert ended.failed == 0
    kept = sorted((tmp_path / "sweep" / ".sweep" / "latents").glob("*.latents"))
    assert kept
    Worker(tmp_path / "sweep", 1, SweepOptions(), lambda event: None, units=planned).run()
    alone = SweepOptions(share=False)
    written_sweep(tmp_path / "alone", points, common=common, options=alone)
    assert not any(u.latents for u in units(tmp_path / "alone", jobs, alone))
    worked(tmp_path / "alone", alone)
    for job in jobs:
        one, other = tmp_path / "sweep" / job.folder, tmp_path / "alone" / job.folder
        assert results(one) == results(other)
        assert own(one) == own(other)
