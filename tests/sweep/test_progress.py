from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic_sweep import begin, complete, fail, grid, interrupt, leased, log, make_sweep

from clrun.config.trust import Trust, trusting
from clrun.disk import locks
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import read_manifest, write_manifest
from clrun.sweep.progress import JobState, Looked, progress, resume_command, way_on
from clrun.sweep.record import read_record, write_record


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


def states(path: Path) -> list[str]:
    return [state.state for state in progress(path)]


def test_jobs_stand_as_their_outcome_lease_and_record_say(sweep: Path) -> None:
    jobs = make_sweep(sweep, grid(7, 1))
    complete(sweep, jobs[0], 0.5)
    fail(sweep, jobs[1], "the loss is nan.")
    interrupt(sweep, jobs[2])
    begin(sweep, jobs[3])
    begin(sweep, jobs[4])
    log(sweep / jobs[4].folder, experiences=2)

    with leased(sweep, jobs[4]), leased(sweep, jobs[5]):
        found = progress(sweep)

    assert [state.state for state in found] == [
        *("completed", "failed", "interrupted", "died", "running", "running", "queued")
    ]
    assert found[1].reason == "the loss is nan."
    going = found[4]
    assert (going.experience, going.experiences, going.epoch, going.epochs) == (1, 5, None, 2)
    assert going.accuracy == pytest.approx(0.6)
    assert going.worker is not None
    assert f"process {os.getpid()} on " in going.worker
    assert 0 <= going.silent < 60
    assert going.done == pytest.approx(2 / 5)
    assert found[5].experience is None
    assert found[5].done == 0


def test_a_job_that_is_tried_again_runs(sweep: Path) -> None:
    jobs = make_sweep(sweep, grid(1, 1))
    fail(sweep, jobs[0], "the loss is nan.")

    with leased(sweep, jobs[0]):
        assert states(sweep) == ["running"]


def test_a_run_that_was_gone_on_with_by_hand_counts(sweep: Path) -> None:
    jobs = make_sweep(sweep, grid(2, 1))
    for job in jobs:
        interrupt(sweep, job)
    begin(sweep, jobs[0], status="completed")
    begin(sweep, jobs[1])
    lock = locks.take(sweep / jobs[1].folder / ".lock")
    try:
        assert states(sweep) == ["completed", "running"]
    finally:
        lock.release()


def test_a_shared_part_is_seen_while_it_runs(sweep: Path) -> None:
    jobs = make_sweep(sweep, grid(1, 1))
    shared = sweep / ".sweep" / "shared" / "0123abcd"
    shared.mkdir(parents=True)
    begin(sweep, jobs[0]).joinpath("run.json").rename(shared / "run.json")
    log(shared, experiences=1)
    assert Looked(sweep).shared() == []

    lock = locks.take(shared / ".lock")
    try:
        [part] = Looked(sweep).shared()
    finally:
        lock.release()

    assert (part.number, part.state, part.experience, part.epochs) == (None, "running", 0, 2)


def test_nothing_is_made_by_looking(sweep: Path) -> None:
    make_sweep(sweep, grid(2, 2))
    before = sorted(sweep.rglob("*"))

    progress(sweep)

    assert sorted(sweep.rglob("*")) == before


def test_where_no_lock_can_be_taken_outcomes_and_records_are_believed(sweep: Path) -> None:
    jobs = make_sweep(sweep, grid(3, 1))
    fail(sweep, jobs[0], "the loss is nan.")
    begin(sweep, jobs[1])
    for job in jobs:
        for place in (SweepFolder(sweep).lease(job.number), sweep / job.folder / ".lock"):
            place.parent.mkdir(exist_ok=True)
            place.touch()
            os.link(place, f"{place}.second")  # what a lock is refused for

    assert states(sweep) == ["failed", "running", "queued"]


def test_a_running_job_is_as_far_as_its_epoch(sweep: Path) -> None:
    state = JobState(
        number=0, values={}, folder="a", state="running", experience=1, experiences=4, epoch=0
    )

    assert state.done == pytest.approx(0.5)
    assert JobState(**{**vars(state), "epochs": 2}).done == pytest.approx(0.25 + 0.25 / 4)


def test_a_job_has_its_value_of_a_key_that_was_swept_later(sweep: Path) -> None:
    first, *_ = make_sweep(sweep, [{"seed": "0"}])
    first = replace(first, overrides=("strategy=naive", "+strategy.lr=0.1", "seed=0"))
    make_sweep(sweep, [{"seed": "0"}, {"strategy.lr": "0.2", "seed": "0"}])
    write_manifest(sweep, [first, read_manifest(sweep)[1]])
    write_record(sweep, replace(read_record(sweep), swept=("strategy.lr", "seed")))

    assert [list(state.values.items()) for state in progress(sweep)] == [
        [("strategy.lr", lr), ("seed", "0")] for lr in ("0.1", "0.2")
    ]


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("strategy.momentum", "0"),
        ("strategy.optimizer", "sgd"),
        ("benchmark.limit_per_class", "null"),
        ("eval.initial", "true"),
        ("model", "mlp"),
        ("log_every", "10"),
        ("experiment", None),
        ("strategy.no.such", None),
    ],
)
def test_a_job_has_its_default_of_a_key_that_was_swept_later(
    sweep: Path, key: str, default: str | None
) -> None:
    make_sweep(sweep, [{"seed": "0"}])
    write_record(sweep, replace(read_record(sweep), swept=("seed", key)))

    [state] = progress(sweep)

    assert state.values.get(key) == default
    assert state.values["seed"] == "0"


@contextmanager
def counted_reads() -> Iterator[Counter[str]]:
    """Files that are opened, by their names, as the audit of the interpreter has them."""
    found: Counter[str] = Counter()
    is_on = [True]

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if is_on and event == "open" and isinstance(given[0], str | os.PathLike):
            found[Path(given[0]).name] += 1

    sys.addaudithook(hook)
    try:
        yield found
    finally:
        is_on.clear()


def test_of_a_job_that_is_over_its_outcome_alone_is_read(sweep: Path) -> None:
    jobs = make_sweep(sweep, grid(40, 1))
    for job in jobs[:30]:
        complete(sweep, job, 0.5)
    begin(sweep, jobs[30])
    log(sweep / jobs[30].folder)

    with leased(sweep, jobs[30]), counted_reads() as found:
        progress(sweep)

    assert found["sweep.jsonl"] == 1
    assert sum(found[f"{number:06}.json"] for number in range(40)) == 30
    assert found["metrics.jsonl"] == 1
    assert found["results.json"] == 0
    assert sum(count for name, count in found.items() if name.endswith(".lock")) <= 4
    assert found["run.json"] <= 10  # of those that nobody has begun, where there is none


def test_who_trusted_the_files_is_told_to_do_so_again(tmp_path: Path):
    assert resume_command(tmp_path / "a b") == f"clrun resume '{tmp_path}/a b'"
    with trusting(Trust(everything=True)):
        assert resume_command(tmp_path) == f"clrun resume {tmp_path} --trust"
        assert way_on(tmp_path, ["failed"]).endswith(f"{tmp_path} --trust --retry-failed")
