from __future__ import annotations

import pytest

from clrun.runner.cost import Cost
from clrun.runner.time_left import TimeLeft


def cost(*, train: float, images: int = 0, evaluating: float = 0.0, memory: float = 0.0) -> Cost:
    made = Cost()
    made.wall_seconds |= {"train": train, "memory": memory, "eval": evaluating}
    made.patterns_seen = images
    return made


def test_the_first_updates_and_less_than_a_second_say_nothing():
    left = TimeLeft(0)

    assert left.now(cost(train=9.0), 0.01) == (None, None)
    assert left.now(cost(train=9.5), 0.02) == (None, None)


def test_the_rest_takes_as_long_as_what_came_after_the_first_updates():
    left = TimeLeft(0)

    left.now(cost(train=9.0, images=100), 0.1)

    seconds, speed = left.now(cost(train=19.0, memory=10.0, images=2100), 0.3)
    assert seconds == pytest.approx(70.0)  # 20 s for a fifth
    assert speed == pytest.approx(100.0)


def test_evaluations_to_come_take_as_long_as_those_that_were_made():
    left = TimeLeft(10)
    left.evaluated()
    left.evaluated()

    left.now(cost(train=0.0, evaluating=6.0), 0.0)

    assert left.now(cost(train=10.0, evaluating=6.0), 0.5)[0] == pytest.approx(10.0 + 3.0 * 5)


def test_only_the_last_minute_of_updates_counts():
    left = TimeLeft(0)

    for minute in range(11):  # a slow first half, then ten times as quick
        left.now(cost(train=60.0 * minute), 0.05 * minute)
    for second in range(61):
        seconds, _ = left.now(cost(train=600.0 + second), 0.5 + 0.0083 * second)

    assert seconds == pytest.approx(0.002 / 0.0083, abs=1.0)


def test_resumed_counts_that_go_back_say_nothing():
    left = TimeLeft(0)

    left.now(cost(train=50.0), 0.5)

    assert left.now(cost(train=60.0), 0.5) == (None, None)
