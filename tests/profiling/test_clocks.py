from __future__ import annotations

import threading
import time
from contextlib import nullcontext

import pytest

from clrun.profiling.clocks import REST, Clocks


def test_every_moment_belongs_to_one_phase_and_one_part_of_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clocks = Clocks()

    def work(seconds: float) -> None:
        now[0] += seconds

    with clocks.phase("outer"):
        work(1)
        with clocks.span("a"):
            work(2)
            with clocks.span("b"):
                work(4)
            with clocks.phase("inner"), clocks.span("a"):
                work(8)
        work(16)

    outer, inner = clocks.phases["outer"], clocks.phases["inner"]
    assert {name: part.wall for name, part in outer.parts.items()} == {"a": 2, "b": 4, REST: 17}
    assert {name: part.wall for name, part in inner.parts.items()} == {"a": 8, REST: 0}
    assert (outer.wall, inner.wall) == (23, 8)


def test_a_phase_may_get_its_name_before_it_ends():
    clocks = Clocks()

    with clocks.phase("train") as current:
        with clocks.span("store"):
            pass
        current.name = "memory"

    assert list(clocks.phases) == ["memory"]
    assert clocks.phases["memory"].parts["store"].calls == 1


def test_stretches_of_a_phase_add_up():
    clocks = Clocks()

    for _ in range(3):
        with clocks.phase("train"), clocks.span("forward"):
            pass

    assert {name: part.calls for name, part in clocks.phases["train"].parts.items()} == {
        "forward": 3,
        REST: 3,
    }


def test_a_range_ends_where_an_error_leaves_it():
    clocks = Clocks()

    with clocks.phase("train"):
        with pytest.raises(KeyError), clocks.span("forward"):
            raise KeyError
        with clocks.span("backward"):
            pass

    assert clocks.phases["train"].parts["forward"].calls == 1
    assert clocks.open_ranges == []


def test_other_threads_do_not_disturb_the_clocks():
    clocks = Clocks()

    def work() -> None:
        with clocks.phase("eval"), clocks.span("backward"):
            pass

    with clocks.phase("train"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert list(clocks.phases) == ["train"]
    assert list(clocks.phases["train"].parts) == [REST]


def test_a_mark_is_shown_around_each_range_while_it_is_set():
    clocks, shown = Clocks(), []

    def mark(name: str):
        shown.append(name)
        return nullcontext()

    with clocks.phase("train"):
        clocks.mark = mark
        with clocks.span("forward"):
            clocks.mark = None
        with clocks.span("backward"):
            pass

    assert shown == ["forward"]
