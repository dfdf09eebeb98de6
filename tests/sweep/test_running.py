"""A unit that runs: how its attempts are counted over workers, and how it is made to end."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from clrun.sweep import running
from clrun.sweep.outcomes import JobOutcome
from clrun.sweep.queue import Taken
from clrun.sweep.running import END_SECONDS, SAVE_SECONDS, Act, Running
from clrun.sweep.unit import Unit


def made(before: JobOutcome | None = None, starts: int = 0) -> Running:
    path = Path("none")
    unit = Unit(name="u", lease=path, outcome=path, folder=path, config={}, threads=1)
    return Running(Taken(unit, FileLock("none"), before), starts)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that only the test moves."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(running, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("before", "starts", "deaths", "attempts"),
    [
        (None, 0, 0, 1),
        (None, 2, 2, 3),  # two workers died before they could say anything
        (JobOutcome(status="interrupted", attempts=2), 2, 0, 3),
        (JobOutcome(status="interrupted", attempts=2), 5, 3, 6),
        (JobOutcome(status="completed", attempts=3), 1, 0, 4),  # logs are somebody's to remove
    ],
)
def test_workers_that_died_are_those_of_which_only_the_logs_know(
    before: JobOutcome | None, starts: int, deaths: int, attempts: int
):
    one = made(before, starts)

    one.begin(None)

    assert (one.deaths, one.attempts) == (deaths, attempts)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 4))
def test_what_is_said_of_it_makes_the_workers_that_died_forgotten(
    said: int, starts: int, attempts: int
):
    one = made(JobOutcome(status="interrupted", attempts=said), starts)
    for _ in range(attempts):
        one.begin(None)

    again = made(JobOutcome(status="failed", attempts=one.attempts), starts + attempts)

    assert again.deaths == 0


def test_seconds_are_those_of_all_attempts_here_and_before(clock: SimpleNamespace):
    one = made(JobOutcome(status="interrupted", seconds=100.0))
    for seconds in (3.0, 4.0):
        one.begin(None)
        clock.now += seconds

    assert one.seconds == 107.0


def acts(one: Running, clock: SimpleNamespace, seconds: float) -> list[tuple[float, Act]]:
    """What is due, and when, within so many seconds."""
    begun, found = clock.now, []
    while one.next_act is not None and one.next_act <= begun + seconds:
        clock.now = one.next_act - 0.01
        assert one.due() is None
        clock.now = one.next_act
        act = one.due()
        assert act is not None
        found.append((round(clock.now - begun, 2), act))
    assert one.due() is None
    return found


def test_one_whose_time_is_over_is_asked_then_killed_then_its_holder(clock: SimpleNamespace):
    one = made()

    one.begin(10.0)

    kill = 10 + SAVE_SECONDS
    assert acts(one, clock, 10.0) == [(10.0, Act.ASK)]
    assert (one.is_late, one.is_killed) == (True, False)
    clock.now += 1
    one.asked_to_end()  # a signal of the worker's changes nothing any more
    assert acts(one, clock, 1000.0) == [
        (kill - 11, Act.KILL),
        (kill - 11 + END_SECONDS, Act.KILL_HOLDER),
    ]
    assert one.is_killed


def test_one_that_was_given_a_signal_is_killed_if_it_does_not_end(clock: SimpleNamespace):
    one = made()
    one.begin(10.0)
    clock.now += 5

    one.asked_to_end()

    assert acts(one, clock, SAVE_SECONDS - 1) == []
    assert (one.is_late, one.is_killed) == (False, False)
    assert [act for _, act in acts(one, clock, 1000.0)] == [Act.KILL, Act.KILL_HOLDER]
    assert (one.is_late, one.is_killed) == (False, True)


def test_the_next_attempt_has_the_whole_time(clock: SimpleNamespace):
    one = made()
    one.begin(10.0)
    clock.now += 9

    one.begin(10.0)

    assert acts(one, clock, 10.0) == [(10.0, Act.ASK)]


def test_without_a_limit_nothing_is_ever_due():
    one = made()
    one.begin(None)

    assert one.next_act is None
    assert one.due() is None
    assert one.seconds < time.monotonic()
