"""The manifest: written from points, added to, refused where it would be another sweep's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from clrun.config.compose import initialized
from clrun.config.sweep_words import read_sweep
from clrun.errors import ConfigError, FolderError
from clrun.sweep.expand import Point, points_of
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import COMPLETED, FAILED, JobOutcome, read_outcome, write_outcome
from clrun.sweep.planning import Plan, planned
from clrun.sweep.record import SweepOptions, read_record
from clrun.sweep.start import write_sweep


def points(*words: str) -> list[Point]:
    with initialized() as app:
        return points_of(read_sweep(app, "config", ["strategy=naive", *words]))


def plan(found: Sequence[Point], *, force: bool = False, **identity: Any) -> Plan:
    """As if these had been looked at."""
    return Plan(
        points=found,
        identities={
            point.hash: {"config_hash": point.hash, "threads": 1, "device": "cpu", **identity}
            for point in found
        },
        notes=(),
        force=force,
    )


def written(
    folder: Path, planned: Plan, swept: Sequence[str] = ("seed",), retries: int = 2
) -> tuple[Job, ...]:
    return write_sweep(
        folder,
        planned,
        command="clrun -m",
        swept=swept,
        output_root=folder.parent,
        options=SweepOptions(retries=retries),
    )


@pytest.fixture(scope="module")
def two() -> list[Point]:
    return points("seed=0,1")


@pytest.fixture(scope="module")
def three() -> list[Point]:
    return points("seed=0,1,2")


@pytest.fixture(scope="module")
def other_keys() -> list[Point]:
    return points("strategy.lr=0.1,0.2", "seed=0")


def test_a_job_is_what_its_words_are_for_a_single_run(tmp_path: Path, two: list[Point]) -> None:
    from clrun import compose

    jobs = written(tmp_path / "sweep", plan(two))

    assert jobs == read_manifest(tmp_path / "sweep")
    for job in jobs:
        config = compose(list(job.overrides))
        assert job.config == json.loads(json.dumps(config.plain()))
        assert (job.hash, job.folder) == (config.hash(), f"{config.label()}-{config.hash()}")
    assert [(job.number, job.values) for job in jobs] == [(0, {"seed": "0"}), (1, {"seed": "1"})]


def test_new_values_add_lines_and_change_none(
    tmp_path: Path, two: list[Point], three: list[Point]
) -> None:
    written(tmp_path, plan(two))
    before = (tmp_path / "sweep.jsonl").read_text()

    jobs = written(tmp_path, plan(list(reversed(three))))

    assert [job.values["seed"] for job in jobs] == ["0", "1", "2"]
    assert (tmp_path / "sweep.jsonl").read_text().startswith(before)


def test_the_same_job_is_the_same_whatever_else_is_swept(
    tmp_path: Path, two: list[Point], other_keys: list[Point]
) -> None:
    written(tmp_path, plan(two))

    jobs = written(tmp_path, plan(other_keys), swept=("strategy.lr", "seed"))

    assert [job.values for job in jobs] == [
        {"seed": "0"},
        {"seed": "1"},
        {"strategy.lr": "0.2", "seed": "0"},
    ]
    assert read_record(tmp_path).swept == ("seed", "strategy.lr")


def test_a_sweep_stays_the_one_that_it_was_and_takes_new_options(
    tmp_path: Path, two: list[Point]
) -> None:
    written(tmp_path / "sweep", plan(two))
    before = read_record(tmp_path / "sweep")

    written(tmp_path / "sweep", plan(two), retries=5)

    now = read_record(tmp_path / "sweep")
    assert (now.sweep_id, now.started) == (before.sweep_id, before.started)
    assert now.options.retries == 5


def test_points_of_another_sweep_are_refused_with_what_differs(
    tmp_path: Path, two: list[Point]
) -> None:
    written(tmp_path, plan(two))
    before = (tmp_path / "sweep.jsonl").read_text()

    with pytest.raises(FolderError, match=r"strategy.lr=0.1, not 0.5") as refused:
        written(tmp_path, plan(points("strategy.lr=0.5", "seed=1,2")))

    assert "its job 1 (seed=1)" in str(refused.value)
    assert (tmp_path / "sweep.jsonl").read_text() == before


def test_a_job_whose_numbers_would_be_others_is_refused_unless_forced(
    tmp_path: Path, two: list[Point]
) -> None:
    written(tmp_path, plan(two))

    with pytest.raises(FolderError, match=r"job 0 \(seed=0\) is not over.*threads: 1 before, 2"):
        written(tmp_path, plan(two, threads=2))
    jobs = written(tmp_path, plan(two, force=True, threads=2))

    assert [job.identity["threads"] for job in jobs] == [2, 2]


def test_what_was_not_known_when_it_was_written_is_no_difference(
    tmp_path: Path, two: list[Point]
) -> None:
    before = plan(two)
    for identity in before.identities.values():
        assert isinstance(identity, dict)
        del identity["device"]
    written(tmp_path, before)

    assert len(written(tmp_path, plan(two))) == 2


def put_run(folder: Path, record: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))


def test_a_job_whose_folder_holds_another_run_is_refused(tmp_path: Path, two: list[Point]) -> None:
    put_run(tmp_path / two[1].folder, {"status": "completed", "config_hash": "another"})

    with pytest.raises(FolderError, match="holds a run already"):
        written(tmp_path, plan(two))

    assert not (tmp_path / "sweep.jsonl").exists()


def test_runs_of_before_there_were_manifests_are_taken_for_the_jobs_they_are(
    tmp_path: Path, two: list[Point]
) -> None:
    place = f"naive-digits-s0-lr=0.1-{two[0].hash}"
    put_run(tmp_path / place, {"status": "completed", "config_hash": two[0].hash})

    jobs = written(tmp_path, plan(two))

    assert jobs[0].folder == place
    outcomes = [read_outcome(tmp_path, job.number) for job in jobs]
    assert [outcome and outcome.status for outcome in outcomes] == ["completed", None]


def test_drivers_that_write_one_sweep_at_once_lose_no_job(
    tmp_path: Path, two: list[Point], three: list[Point], other_keys: list[Point]
) -> None:
    threads = [
        Thread(target=written, args=(tmp_path, plan(found))) for found in (two, three, other_keys)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    jobs = read_manifest(tmp_path)
    assert {job.hash for job in jobs} == {p.hash for p in (*three, *other_keys)}
    assert len(jobs) == 4


def test_nothing_is_looked_at_where_all_is_over(tmp_path: Path, two: list[Point]) -> None:
    jobs = written(tmp_path, plan(two))
    for job in jobs:
        write_outcome(tmp_path, job.number, JobOutcome(status=FAILED, reason="as it is"))

    found = planned(two, tmp_path, threads=7, is_here=True)

    assert found.identities == {}
    assert found.jobs(tmp_path) == jobs


@pytest.mark.parametrize("subfolder", ["x", "..", ".", "/tmp/x", ".sweep", "a/../.."])
def test_jobs_have_folders_of_their_own_below_the_sweeps(subfolder: str) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweep\.subdir="):
        points("seed=0,1", f"hydra.sweep.subdir={subfolder}")


def test_hydras_own_names_of_folders_are_used() -> None:
    found = points("seed=3,4", "hydra.sweep.subdir=${hydra.job.num}/${hydra.job.override_dirname}")

    assert [point.folder for point in found] == [
        "0/seed=3,strategy=naive",
        "1/seed=4,strategy=naive",
    ]


def test_a_point_that_is_wrong_is_named() -> None:
    with pytest.raises(ConfigError) as wrong:
        points("seed=0,1", "strategy.lr=0.1,-1")

    assert str(wrong.value) == ("strategy.lr=-1: must be above 0. (job seed=0 strategy.lr=-1)")


def test_two_thousand_jobs_take_little_of_a_processor() -> None:
    import time

    start = time.process_time()
    found = points("seed=range(2000)")

    assert len(found) == 2000
    assert (time.process_time() - start) / 2000 < 0.015


def test_jobs_that_are_done_with_other_sources_are_noted(tmp_path: Path, two: list[Point]) -> None:
    written(tmp_path, plan(two, code={"clrun": "0123"}))
    for number in (0, 1):
        write_outcome(tmp_path, number, JobOutcome(status=COMPLETED))

    notes = planned(two, tmp_path, threads=1, is_here=True).notes

    assert len(notes) == 1
    assert "code.clrun: 0123 before" in notes[0]


def test_a_folder_that_is_that_of_another_job_is_refused_before_either_has_begun(
    tmp_path: Path,
) -> None:
    by_number = "hydra.sweep.subdir=${hydra.job.num}"
    written(tmp_path, plan(points("strategy.lr=0.1,0.2", "seed=0,1", by_number)))

    with pytest.raises(FolderError, match=r"/2: is the folder of job 2, and would be that of"):
        plan(points("strategy.lr=0.1,0.2", "seed=0,1,2", by_number)).jobs(tmp_path)
