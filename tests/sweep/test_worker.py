"""Workers: every unit is done once, whatever dies meanwhile, and none takes others with it."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comparing_runs import lines, results
from making_sweeps import MINE, SHORT, misbehaving, written_sweep
from processes import is_alive, is_stopped, parent, until

from clrun import compose
from clrun.config.trust import Trust, trusting
from clrun.runner.prepare import ready
from clrun.runner.run import run
from clrun.sweep import running
from clrun.sweep.events import Ended, Event, Noted, Retried, Started
from clrun.sweep.folder import SweepFolder
from clrun.sweep.outcomes import read_outcome
from clrun.sweep.record import SweepOptions
from clrun.sweep.unit import unit_of
from clrun.sweep.worker import Worked, Worker

WITH_ONE_THREAD = (*SHORT, "device.threads=1")


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trusting(Trust(everything=True)):
        yield


def worked(path: Path, slots: int = 2, **options: Any) -> tuple[Worked, list[Event]]:
    """Work on a sweep to its end; what happened."""
    events: list[Event] = []
    retry = options.pop("retry_failed", False)
    worker = Worker(path, slots, SweepOptions(**options), events.append, retry_failed=retry)
    return worker.run(), events


def starts(path: Path) -> list[str]:
    """The units for which processes were started, by the workers' logs."""
    logs = sorted((path / ".sweep" / "log").glob("*.jsonl"))
    entries = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [entry["unit"] for entry in entries if entry["event"] == "started"]


def holder_of(folder: Path) -> int:
    """The process that runs in a run folder."""
    found = re.match(r"process (\d+)", (folder / ".lock").read_text())
    assert found is not None
    return int(found[1])


def when(condition: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
    """Do something in a thread once something is so."""

    def wait() -> None:
        try:
            until(condition)
        except TimeoutError:  # whoever waits for it would do so for ever
            os.kill(os.getpid(), signal.SIGTERM)
            raise
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def hangs(folder: Path) -> bool:
    """Whether the run here has come to where it hangs."""
    log = folder / "clrun.log"
    return log.exists() and "hanging" in log.read_text()


def test_each_job_is_as_a_run_of_its_own_and_is_done_once(tmp_path: Path):
    jobs = written_sweep(tmp_path / "s", [["seed=1"], ["seed=2"], ["strategy.lr=0.05"]])

    end, events = worked(tmp_path / "s")

    assert end == Worked(completed=3, failed=0)
    assert {type(event) for event in events} == {Started, Ended}
    for job in jobs:
        config = compose([*WITH_ONE_THREAD, *job.overrides[len(SHORT) :]])
        alone = tmp_path / f"alone-{job.number}"
        run(ready(config), alone)
        folder = tmp_path / "s" / job.folder
        assert lines(folder) == lines(alone)
        assert results(folder)["metrics"] == results(alone)["metrics"]
        outcome = read_outcome(tmp_path / "s", job.number)
        assert outcome is not None
        assert (outcome.status, outcome.exit_code, outcome.attempts) == ("completed", 0, 1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*/*")}

    again, events = worked(tmp_path / "s")

    assert (again, events) == (Worked(completed=0, failed=0), [])
    assert sorted(starts(tmp_path / "s")) == sorted(job.folder for job in jobs)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_that_completed_before_its_worker_could_say_so_is_not_run_again(tmp_path: Path):
    [job] = written_sweep(tmp_path, [["seed=1"]])
    worked(tmp_path)
    unit_of(tmp_path, job).outcome.unlink()

    end, _ = worked(tmp_path)

    assert end.completed == 1
    assert len(starts(tmp_path)) == 1


@pytest.mark.slow
def test_five_failures_leave_the_others_alone_each_with_a_line(tmp_path: Path):
    ways = ["hang", "raise", "exit", "leave", "slip", "segfault", "memory", "killed", "well"]
    jobs = written_sweep(
        tmp_path / "s",
        [[f"strategy.how={way}"] for way in ways],
        common=MINE,
        where=misbehaving(tmp_path),
    )

    end, events = worked(tmp_path / "s", slots=3, time_limit=20.0, retries=1)

    outcomes = {
        job.values["strategy.how"]: read_outcome(tmp_path / "s", job.number) for job in jobs
    }
    reasons = {way: outcome.reason for way, outcome in outcomes.items() if outcome is not None}
    assert end == Worked(completed=1, failed=8)
    assert reasons == {
        "well": None,
        "raise": "ValueError: this was to be expected",
        "exit": "SystemExit: 3",
        "leave": "ended with exit code 4",
        "slip": "left with exit code 0 before its run was completed",
        "segfault": "died of SIGSEGV, 2 times",
        "memory": reasons["memory"],
        "killed": "was killed by SIGKILL, perhaps by the system for want of memory, 2 times",
        "hang": "ran longer than sweep.time_limit=20 seconds",
    }
    assert reasons["memory"] is not None
    assert "memory" in reasons["memory"]
    assert sum(isinstance(event, Retried) for event in events) == 2
    assert "Traceback" in (tmp_path / "s" / jobs[1].folder / "clrun.log").read_text()


def test_what_a_job_says_never_holds_it_up(tmp_path: Path):
    """More than a pipe takes, in one line of a failure and in many notes."""
    where = misbehaving(tmp_path)
    points = [[f"strategy.how={how}", "strategy.train_epochs=1"] for how in ("long", "many")]
    long, many = written_sweep(tmp_path / "sweep", points, common=MINE, where=where)

    done, events = worked(tmp_path / "sweep", time_limit=60.0)

    assert (done.completed, done.failed) == (1, 1), events
    outcome = read_outcome(tmp_path / "sweep", long.number)
    assert outcome is not None
    assert str(outcome.reason).startswith("ValueError: long long")
    assert len(str(outcome.reason)) < 1000
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert notes[0].startswith("note 0: and so on")
    assert notes[-1].startswith("more is noted")
    assert len(notes) < 200
    assert "note 2999: and so on" in (tmp_path / "sweep" / many.folder / "clrun.log").read_text()


def test_a_failed_job_is_tried_again_only_if_that_is_said_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    [job] = written_sweep(
        tmp_path / "s", [["strategy.how=once"]], common=MINE, where=misbehaving(tmp_path)
    )
    [alone] = written_sweep(
        tmp_path / "t",
        [["strategy.how=once"]],
        common=MINE,
        where={"config_dirs": [tmp_path / "conf"], "trust": True},
    )

    first, _ = worked(tmp_path / "s", retries=0)
    second, events = worked(tmp_path / "s")
    third, _ = worked(tmp_path / "s", retry_failed=True)
    worked(tmp_path / "t")

    assert [first.failed, second.failed, len(events), third.completed] == [1, 0, 0, 1]
    outcome = read_outcome(tmp_path / "s", job.number)
    assert outcome is not None
    assert outcome.attempts == 2
    assert lines(tmp_path / "s" / job.folder) == lines(tmp_path / "t" / alone.folder)
    record = json.loads((tmp_path / "s" / job.folder / "run.json").read_text())
    assert len(record["resumed"]) == 1


def test_with_on_error_stop_nothing_more_is_started(tmp_path: Path):
    points = [["strategy.how=raise"], ["strategy.how=well"], ["seed=1"]]
    written_sweep(tmp_path / "s", points, common=MINE, where=misbehaving(tmp_path))

    end, _ = worked(tmp_path / "s", slots=1, on_error="stop")

    assert end == Worked(completed=0, failed=1)
    assert len(starts(tmp_path / "s")) == 1


@pytest.mark.parametrize("victim", ["job", "holder", "server"])
def test_what_is_killed_is_gone_on_with(
    victim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    jobs = written_sweep(
        tmp_path / "s",
        [["strategy.how=stall"], ["strategy.how=well"]],
        common=MINE,
        where=misbehaving(tmp_path),
    )
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    folder = tmp_path / "s" / jobs[0].folder
    killed: list[int] = []

    def kill() -> None:
        process = holder_of(folder)
        for _ in range(["job", "holder", "server"].index(victim)):
            process = parent(process)
        killed.append(process)
        os.kill(process, signal.SIGKILL)

    killer = when(lambda: hangs(folder), kill)
    end, events = worked(tmp_path / "s")
    killer.join()

    assert end == Worked(completed=2, failed=0)
    retried = [event.name for event in events if isinstance(event, Retried)]
    assert jobs[0].folder in retried  # the other one may have been over by then
    assert len(set(retried)) == len(retried)
    assert not is_alive(killed[0])


@pytest.mark.parametrize(
    ("how", "victim", "seconds", "killed"),
    [("stop", "job", running.SAVE_SECONDS, 0), ("deaf", "job", 0.2, 1), ("stop", "holder", 0.2, 1)],
)
def test_what_is_stopped_saves_its_state_and_what_does_not_hear_is_killed(
    how: str,
    victim: str,
    seconds: float,
    killed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """A job that was stopped goes on to hear the signal; where its holder is stopped as well, both
    are killed."""
    monkeypatch.setattr(running, "SAVE_SECONDS", seconds)
    monkeypatch.setattr(running, "END_SECONDS", 0.2)
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    path = tmp_path / "s"
    [job] = written_sweep(path, [[f"strategy.how={how}"]], common=MINE, where=misbehaving(tmp_path))
    folder = path / job.folder

    def has_come_so_far() -> bool:
        if how == "deaf":
            return hangs(folder)
        return (folder / ".lock").exists() and is_stopped(holder_of(folder))

    def interrupt() -> None:
        if victim == "holder":
            os.kill(parent(holder_of(folder)), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGTERM)

    interrupter = when(has_come_so_far, interrupt)
    first, _ = worked(path)
    interrupter.join()
    outcome = read_outcome(path, job.number)
    second, _ = worked(path)

    assert first == Worked(completed=0, failed=0, signal=signal.SIGTERM, killed=killed)
    assert outcome is not None
    assert ("was killed" in str(outcome.reason)) == bool(killed)
    assert second == Worked(completed=1, failed=0)


@pytest.mark.parametrize(
    ("deaths", "status", "attempts"), [(10, "completed", 11), (11, "failed", 11)]
)
def test_a_job_that_kills_its_worker_is_not_run_for_ever(
    deaths: int, status: str, attempts: int, tmp_path: Path
):
    """So many workers began it, and none lived to say what became of it."""
    [job] = written_sweep(tmp_path, [["seed=1"]])
    for number in range(deaths):
        log = SweepFolder(tmp_path).inner("log", f"gone-{number}.jsonl")
        log.write_text(json.dumps({"event": "started", "unit": job.folder, "attempt": 1}) + "\n")

    worked(tmp_path)

    outcome = read_outcome(tmp_path, job.number)
    assert outcome is not None
    assert (outcome.status, outcome.attempts) == (status, attempts)
    assert len(starts(tmp_path)) == attempts
    end, _ = worked(tmp_path, retry_failed=True)  # who says so begins to count anew
    assert end.completed == (status == "failed")


UNREADABLE = """
from dataclasses import dataclass

from clrun.streams.experience import StreamShape


SHAPE = StreamShape(channels=1, height=8, width=8, num_classes=2, num_experiences=1)


class Unreadable:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        leaves: bool

    def __init__(self, config): self.config = config
    def check(self): pass
    def shape(self): return SHAPE

    def load(self, seed, on_progress):
        if self.config.leaves:
            raise SystemExit("it is the lab's fault")
        raise LookupError("row 7 of the lab's table")
"""


def test_why_data_cannot_be_read_is_said_and_where(tmp_path: Path):
    option = tmp_path / "conf" / "benchmark" / "unreadable.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Cannot be read.\ntarget: unreadable_code:Unreadable\nleaves: false\n")
    (tmp_path / "unreadable_code.py").write_text(UNREADABLE)
    jobs = written_sweep(
        tmp_path / "s",
        [["benchmark.leaves=false"], ["benchmark.leaves=true"]],
        common=("strategy=naive", "benchmark=unreadable", "device=cpu"),
        where={"config_dirs": [tmp_path / "conf"], "trust": True},
    )

    end, _ = worked(tmp_path / "s")

    outcomes = [read_outcome(tmp_path / "s", job.number) for job in jobs]
    assert end == Worked(completed=0, failed=2)
    assert ["row 7 of the lab's table" in str(each) for each in outcomes] == [True, False]
    assert ["it is the lab's fault" in str(each) for each in outcomes] == [False, True]
    log = "".join(file.read_text() for file in (tmp_path / "s" / ".sweep" / "log").glob("*"))
    assert log.count("Traceback") == 1  # what it raised says the other one's place


def test_what_a_run_notes_is_said_once(tmp_path: Path):
    option = tmp_path / "conf" / "strategy" / "noting.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Notes.\ndefaults: [naive, _self_]\ntarget: noting_code:Noting\n")
    (tmp_path / "noting_code.py").write_text(NOTING)
    written_sweep(
        tmp_path / "s",
        [["seed=1"], ["seed=2"]],
        common=("strategy=noting", *SHORT[1:]),
        where={"config_dirs": [tmp_path / "conf"], "trust": True},
    )

    _, events = worked(tmp_path / "s")

    assert [event.text for event in events if isinstance(event, Noted)] == ["worth a line"]


NOTING = """
import logging
from dataclasses import dataclass

from clrun.strategies.naive import Naive


class Noting(Naive):
    @dataclass(frozen=True, kw_only=True)
    class Config(Naive.Config):
        pass

    def learn(self, experience, *start):
        logging.getLogger("clrun.note").warning("worth a line")
        yield from super().learn(experience, *start)
"""
