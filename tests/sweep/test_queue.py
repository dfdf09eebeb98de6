"""The order in which a worker takes units, and what it leaves to others."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrun.disk import locks
from clrun.sweep.outcomes import JobOutcome, keep_outcome
from clrun.sweep.pool import stream_of
from clrun.sweep.queue import Queue, Taken
from clrun.sweep.unit import Unit


def unit(folder: Path, name: str, seed: int = 0, needs: Unit | None = None) -> Unit:
    config: dict[str, Any] = {
        "nodes": {"benchmark": {"option": "digits"}, "eval": {"values": {}}},
        "root": {"seed": seed},
        "where": [],
    }
    return Unit(
        name=name,
        lease=folder / f"{name}.lock",
        outcome=folder / f"{name}.json",
        folder=folder / name,
        config=config,
        threads=1,
        needs=needs,
    )


def taken(queue: Queue) -> list[Taken]:
    found = []
    while (each := queue.next()) is not None:
        found.append(each)
    return found


def names(found: list[Taken]) -> list[str]:
    return [each.unit.name for each in found]


@given(seeds=st.lists(st.integers(0, 3), max_size=8))
def test_each_unit_is_taken_once_and_those_on_the_same_data_together(
    seeds: list[int], tmp_path_factory: Any
):
    folder = tmp_path_factory.mktemp("queue")
    units = [unit(folder, f"u{number}", seed) for number, seed in enumerate(seeds)]
    queue = Queue(units, retry_failed=False)

    found = taken(queue)

    assert sorted(names(found)) == sorted(each.name for each in units)
    streams = [stream_of(each.unit) for each in found]
    changes = sum(one != other for one, other in pairwise(streams))
    assert changes == max(0, len(set(streams)) - 1)
    for each in found:
        each.lease.release()


def test_what_another_has_is_left_and_looked_at_again(tmp_path: Path):
    units = [unit(tmp_path, name) for name in "ab"]
    held = locks.take(units[0].lease)
    queue = Queue(units, retry_failed=False)

    assert names(taken(queue)) == ["b"]
    assert not queue.is_empty
    held.release()
    assert queue.next() is None
    queue.look_again()
    assert names(taken(queue)) == ["a"]
    assert queue.is_empty


def test_what_another_did_just_before_its_lease_was_free_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one = unit(tmp_path, "a")
    queue = Queue([one], retry_failed=False)
    take = locks.take

    def take_late(path: Path, **how: Any) -> Any:
        keep_outcome(one.outcome, JobOutcome(status="completed"))
        return take(path, **how)

    with monkeypatch.context() as context:
        context.setattr(locks, "take", take_late)
        assert queue.next() is None

    assert locks.is_free(one.lease)
    queue.look_again()
    assert queue.next() is None
    assert queue.is_empty


def test_what_a_unit_needs_comes_first_and_once(tmp_path: Path):
    shared = unit(tmp_path, "shared")
    units = [unit(tmp_path, name, needs=shared) for name in "ab"]
    queue = Queue(units, retry_failed=False)

    [first] = taken(queue)
    assert first.unit is shared
    queue.look_again()
    assert taken(queue) == []

    outcome = JobOutcome(status="completed")
    keep_outcome(shared.outcome, outcome)
    assert not locks.is_free(shared.lease)
    queue.over(first, outcome)
    assert locks.is_free(shared.lease)
    queue.look_again()
    assert names(taken(queue)) == ["a", "b"]


def test_what_is_over_is_not_taken_again_unless_what_failed_shall_be(tmp_path: Path):
    units = [unit(tmp_path, name) for name in ("completed", "failed", "interrupted")]
    for each in units:
        keep_outcome(each.outcome, JobOutcome(status=each.name, attempts=2))

    first = taken(Queue(units, retry_failed=False))
    for each in first:
        each.lease.release()
    queue = Queue(units, retry_failed=True)
    again = taken(queue)

    assert names(first) == ["interrupted"]
    assert names(again) == ["failed", "interrupted"]
    assert [each.before.attempts for each in again if each.before] == [2, 2]
    queue.over(again[0], JobOutcome(status="failed"))
    queue.look_again()
    assert taken(queue) == []
