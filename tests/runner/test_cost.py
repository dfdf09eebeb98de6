from __future__ import annotations

import time
from contextlib import suppress

import pytest
import torch

from clrun.profiling.peaks import peak_bytes
from clrun.profiling.seconds import Seconds
from clrun.runner.cost import PEAK_STEP, Cost, Known
from clrun.strategies.step import Step


class Clock:
    """A clock that goes on when told to; half of the time the processor is busy, with 3 threads."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(time, "process_time", lambda: made.now * 1.5)
    return made


def known(**changed) -> Known:
    """What others know of a cost, where nothing is said."""
    parts = {
        "train_macs": 0,
        "forward_macs": 0,
        "memory_bytes": 0,
        "state_bytes": None,
        "peak_device_bytes": 0,
        "watts": None,
    }
    return Known(**{**parts, **changed})


def learning(updates: int):
    for iteration in range(updates):
        yield Step(torch.tensor(0.0), torch.tensor(0), 32, 12, 0, iteration, updates)


def test_seconds_are_counted_by_phase_even_if_a_phase_fails(clock):
    cost = Cost(Seconds(0.5, 0.25))

    for name, seconds in (("setup", 2.0), ("eval", 3.0), ("setup", 4.0)):
        with suppress(ZeroDivisionError), cost.phase(name):
            clock.sleep(seconds)
            1 / 0  # noqa: B018
        clock.sleep(100.0)  # in no phase

    found = cost.summary(known())
    nothing = {"train": 0.0, "memory": 0.0, "checkpoint": 0.0}
    assert found["wall_seconds"] == {"setup": 6.5, "eval": 3.0, **nothing}
    assert found["cpu_seconds"] == {"setup": 9.25, "eval": 4.5, **nothing}


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
    # the processor was busy for the runner too, which nobody's phase has
    assert (cost.cpu_seconds["train"], cost.cpu_seconds["memory"]) == pytest.approx((9.0, 7.5))


def test_a_summary_holds_what_was_counted():
    cost = Cost()
    list(cost.steps(learning(2)))

    kept = {"rows": 77, "parameters": 40, "statistics": 8}
    summary = cost.summary(
        known(train_macs=1000, memory_bytes=77, peak_device_bytes=5, state_bytes=kept)
    )

    assert summary["train_steps"] == 2
    assert summary["patterns_seen"] == 64
    assert summary["replayed_patterns"] == 24
    assert summary["train_macs"] == 1000
    assert summary["state_bytes"] == kept
    assert (summary["memory_bytes"], summary["peak_device_bytes"]) == (77, 5)
    assert summary["peak_rss_bytes"] % PEAK_STEP == 0
    assert 0 <= summary["peak_rss_bytes"] - peak_bytes() < PEAK_STEP


def test_the_most_memory_of_all_processes_of_a_run_counts():
    before, now = Cost(), Cost()
    state = {**before.state_dict(), "peaks": [2**60, 7]}

    now.load_state_dict(state)

    assert now.peaks(device_bytes=5) == (2**60, 7)
    assert now.peaks(device_bytes=9) == (2**60, 9)


def test_a_state_saved_within_an_epoch_has_the_processor_s_time_until_then(clock):
    def timed():
        for step in learning(4):
            clock.sleep(2.0)
            yield step

    cost = Cost()
    steps = cost.steps(timed())
    next(steps)
    with cost.phase("eval"):
        clock.sleep(50.0)
    next(steps)

    state = cost.state_dict()

    assert (state["cpu_seconds"]["train"], state["cpu_seconds"]["eval"]) == (6.0, 75.0)
    list(steps)
    assert cost.cpu_seconds["train"] == 12.0


class Constant:
    """Says the same of every row."""

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 2)


def test_rows_that_are_predicted_count_once_their_evaluation_is_over():
    cost = Cost()

    with cost.evaluation(Constant()) as strategy:
        assert strategy.predict(torch.zeros(5, 3)).shape == (5, 2)
        strategy.predict(torch.zeros(2, 3))
    with suppress(ZeroDivisionError), cost.evaluation(Constant()) as strategy:
        strategy.predict(torch.zeros(100, 3))
        1 / 0  # noqa: B018

    found = cost.summary(known(forward_macs=10))
    assert (found["evaluated_patterns"], found["eval_macs"]) == (7, 70)


def test_what_evaluations_cost_is_not_known_of_a_strategy_that_counts_nothing():
    found = Cost().summary(known(train_macs=None, forward_macs=10))

    assert (found["train_macs"], found["eval_macs"]) == (None, None)


def test_the_energy_is_what_the_machine_draws_for_as_long_as_the_run_took(clock):
    cost = Cost(Seconds(0.5, 0.25))
    with cost.phase("train"):
        clock.sleep(2.0)

    assert cost.summary(known(watts=40.0))["energy_joules_estimate"] == 100.0
    assert cost.summary(known())["energy_joules_estimate"] is None


def test_a_run_that_goes_on_adds_to_what_it_had_spent(clock):
    before, now = Cost(), Cost(Seconds(0.5, 0.25))
    with before.phase("eval"):
        clock.sleep(2.0)
    with before.evaluation(Constant()) as strategy:
        strategy.predict(torch.zeros(3, 3))

    now.load_state_dict(before.state_dict())

    assert (now.wall_seconds["eval"], now.cpu_seconds["eval"]) == (2.0, 3.0)
    assert (now.wall_seconds["setup"], now.cpu_seconds["setup"]) == (0.5, 0.25)
    assert now.evaluated_patterns == 3
