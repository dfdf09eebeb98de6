"""What a worker makes of the end of a process."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from clrun.config.moment import SECOND
from clrun.disk.files import write_json
from clrun.sweep.manifest import Job
from clrun.sweep.messages import Done
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED
from clrun.sweep.queue import Taken
from clrun.sweep.record import SweepOptions
from clrun.sweep.running import SAVE_SECONDS, Running
from clrun.sweep.unit import Unit
from clrun.sweep.verdict import DIED, MOST_DEATHS, Verdict, before_it_runs, of_its_end

OPTIONS = SweepOptions(retries=2, time_limit=7.0)
KILLED = "was killed by SIGKILL, perhaps by the system for want of memory"


def made(folder: Path, *, starts: int = 0, is_job: bool = True, **state: Any) -> Running:
    """A unit in its first attempt; `state`: what else is known of it."""
    identity = {"config_hash": "0123", "threads": 1}
    job = Job(number=0, overrides=(), values={}, folder="j", config={}, identity=identity)
    unit = Unit(
        name="u",
        lease=folder / "lease",
        outcome=folder / "outcome",
        folder=folder / "j",
        config={},
        threads=1,
        job=job if is_job else None,
        until=None if is_job else SECOND,
    )
    one = Running(Taken(unit, FileLock(folder / "lease"), None), starts)
    one.begin(None)
    for name, value in state.items():
        setattr(one, name, value)
    return one


def complete(folder: Path, config_hash: str = "0123") -> None:
    (folder / "j").mkdir()
    write_json(folder / "j" / "run.json", {"status": "completed", "config_hash": config_hash})


@pytest.mark.parametrize(
    ("done", "state", "passed_on", "verdict"),
    [
        (Done("u", 1, "ValueError: no"), {}, None, Verdict(FAILED, "ValueError: no")),
        (Done("u", 6), {}, None, Verdict(FAILED, "ended with exit code 6")),
        (Done("u", 0), {}, None, Verdict(FAILED, "left with exit code 0 before its run was"
         " completed")),
        (Done("u", -9), {}, None, Verdict(DIED, KILLED)),
        (Done("u", -9), {"attempt": 2}, None, Verdict(DIED, KILLED)),
        (Done("u", -9), {"attempt": 3}, None, Verdict(FAILED, f"{KILLED}, 3 times")),
        (Done("u", -11), {"attempt": 3}, None, Verdict(FAILED, "died of SIGSEGV, 3 times")),
        (Done("u", 1, "no"), {"attempt": 3}, None, Verdict(FAILED, "no")),
        (Done("u", 143, "saved"), {}, signal.SIGTERM, Verdict(INTERRUPTED, "saved")),
        (Done("u", 143), {}, signal.SIGTERM, Verdict(INTERRUPTED, "was interrupted by SIGTERM")),
        (Done("u", -9), {"attempt": 3}, signal.SIGTERM, Verdict(INTERRUPTED, KILLED)),
        (Done("u", -9), {"is_killed": True}, signal.SIGINT, Verdict(INTERRUPTED,
         f"did not end within {SAVE_SECONDS:g} seconds of SIGINT, and was killed")),
        (Done("u", 128, "no"), {}, signal.SIGTERM, Verdict(FAILED, "no")),
        (Done("u", 1, "no"), {}, signal.SIGTERM, Verdict(FAILED, "no")),
        (Done("u", 143, "saved"), {"is_late": True}, None, Verdict(FAILED,
         "ran longer than sweep.time_limit=7 seconds")),
        (Done("u", -9), {"is_late": True, "is_killed": True}, signal.SIGTERM, Verdict(FAILED,
         "ran longer than sweep.time_limit=7 seconds")),
    ],
)  # fmt: skip
def test_the_end_of_a_job_s_process(
    done: Done, state: dict[str, Any], passed_on: int | None, verdict: Verdict, tmp_path: Path
):
    assert of_its_end(made(tmp_path, **state), done, OPTIONS, passed_on) == verdict


@pytest.mark.parametrize("code", [0, 1, 143, -9])
@pytest.mark.parametrize("state", [{}, {"is_late": True}, {"is_killed": True}])
def test_a_run_that_is_completed_is_so_however_its_process_ended(
    code: int, state: dict[str, Any], tmp_path: Path
):
    complete(tmp_path)

    assert of_its_end(made(tmp_path, **state), Done("u", code), OPTIONS, None) == (COMPLETED, None)


def test_the_completed_run_of_something_else_is_none_of_the_job_s(tmp_path: Path):
    complete(tmp_path, config_hash="4567")

    assert of_its_end(made(tmp_path), Done("u", 3, "another"), OPTIONS, None).status == FAILED
    assert before_it_runs(made(tmp_path), OPTIONS) is None


def test_of_what_jobs_share_the_exit_code_alone_says_that_it_is_done(tmp_path: Path):
    shared = made(tmp_path, is_job=False)

    assert of_its_end(shared, Done("u", 0), OPTIONS, None).status == COMPLETED
    assert of_its_end(shared, Done("u", 1, "no"), OPTIONS, None) == (FAILED, "no")


@pytest.mark.parametrize(
    ("starts", "retries", "is_run"),
    [
        (MOST_DEATHS, 2, True),
        (MOST_DEATHS + 1, 2, False),
        (MOST_DEATHS + 1, MOST_DEATHS + 1, True),
        (MOST_DEATHS + 2, MOST_DEATHS + 1, False),
    ],
)
def test_a_job_with_which_many_workers_died_is_not_run_once_more(
    starts: int, retries: int, is_run: bool, tmp_path: Path
):
    verdict = before_it_runs(made(tmp_path, starts=starts), SweepOptions(retries=retries))

    line = f"its worker died while it ran, {starts} times in a row"
    assert verdict == (None if is_run else Verdict(FAILED, line))


def test_a_completed_job_is_not_run_again_however_many_workers_died(tmp_path: Path):
    complete(tmp_path)

    assert before_it_runs(made(tmp_path, starts=99), OPTIONS) == Verdict(COMPLETED)
