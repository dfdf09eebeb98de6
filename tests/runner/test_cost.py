from __future__ import annotations

import time
from contextlib import suppress

import pytest
import torch

from clrun.profiling.peaks import peak_bytes
from clrun.runner.cost import PEAK_STEP, Cost
from clrun.strategies.step import Step


class Seconds:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Seconds:
    seconds = Seconds()
    monkeypatch.setattr(time, "perf_counter", lambda: seconds.now)
    return seconds


def learning(updates: int):
    for iteration in range(updates):
        yield Step(torch.tensor(0.0), torch.tensor(0), 32, 12, 0, iteration, updates)


def test_seconds_are_counted_by_phase_even_if_a_phase_fails(clock):
    cost = Cost(setup_seconds=0.5)

    for name, seconds in (("setup", 2.0), ("eval", 3.0), ("setup", 4.0)):
        with suppress(ZeroDivisionError), cost.phase(name):
            clock.sleep(seconds)
            1 / 0  # noqa: B018
        clock.sleep(100.0)  # in no phase

    by_phase = cost.summary(train_macs=0, memory_bytes=0, peak_device_bytes=0)["wall_seconds"]
    assert by_phase == {"setup": 6.5, "train": 0.0, "memory": 0.0, "eval": 3.0, "checkpoint": 0.0}


def test_updates_and_rows_are_counted_as_they_pass():
    cost = Cost()
    counted = [
        (cost.train_steps, cost.patterns_seen, cost.replayed_patterns)
        for _ in cost.steps(learning(3))
    ]

    assert counted == [(1, 32, 12), (2, 64, 24), (3, 96, 36)]


def test_what_follows_the_last_update_is_the_memory_s_time(clock):
    def timed():
        for step in learning(3):
            clock.sleep(2.0)
            yield step
        clock.sleep(5.0)

    cost = Cost()
    for _ in cost.steps(timed()):
        clock.sleep(100.0)  # the runner's time, nobody's phase

    assert cost.wall_seconds["train"] == 6.0
    assert cost.wall_seconds["memory"] == 5.0


def test_a_summary_holds_what_was_counted():
    cost = Cost()
    list(cost.steps(learning(2)))

    summary = cost.summary(train_macs=1000, memory_bytes=77, peak_device_bytes=5)

    assert summary["train_steps"] == 2
    assert summary["patterns_seen"] == 64
    assert summary["replayed_patterns"] == 24
    assert summary["train_macs"] == 1000
    assert (summary["memory_bytes"], summary["peak_device_bytes"]) == (77, 5)
    assert summary["peak_rss_bytes"] % PEAK_STEP == 0
    assert 0 <= summary["peak_rss_bytes"] - peak_bytes() < PEAK_STEP


def test_the_most_memory_of_all_processes_of_a_run_counts():
    before, now = Cost(), Cost()
    state = {**before.state_dict(), "peaks": [2**60, 7]}

    now.load_state_dict(state)

    assert now.peaks(device_bytes=5) == (2**60, 7)
    assert now.peaks(device_bytes=9) == (2**60, 9)
