from __future__ import annotations

import subprocess
import sys
import timeit

import pytest

from clrun.profiling.clocks import Clocks
from clrun.profiling.spans import phase, recorded_by, span, updates


def work() -> None:
    with phase("train"), span("forward"):
        pass


def calls(clocks: Clocks) -> dict[str, int]:
    return {name: part.calls for name, part in clocks.phases["train"].parts.items()}


def test_spans_are_measured_where_they_are_recorded_and_nowhere_else():
    clocks = Clocks()

    work()
    with recorded_by(clocks):
        work()
    work()

    assert calls(clocks) == {"forward": 1, "rest": 1}


def failing() -> None:
    with phase("train"), span("forward"):
        raise KeyError


def test_an_inner_recorder_gives_back_to_the_outer_one():
    outer, inner = Clocks(), Clocks()

    with recorded_by(outer):
        with pytest.raises(KeyError), recorded_by(inner):
            failing()
        work()

    assert calls(outer) == calls(inner) == {"forward": 1, "rest": 1}


def test_an_error_inside_a_span_comes_out_of_it():
    with pytest.raises(KeyError):
        failing()


def test_updates_are_handed_on_untouched_unless_they_are_traced():
    learning, clocks = iter([1, 2]), Clocks()

    assert updates(learning, 0) is learning
    with recorded_by(clocks):
        assert updates(learning, 0) is learning
        clocks.trace = lambda steps, experience: iter([*steps, experience])
        assert list(updates(learning, 7)) == [1, 2, 7]


def test_a_span_that_nobody_records_costs_next_to_nothing():
    def spans() -> None:
        for _ in range(1000):
            with span("forward"):
                pass

    seconds = min(timeit.repeat(spans, number=1, repeat=20)) / 1000

    assert seconds < 1e-6  # an update takes at least a hundred times as long


def test_spans_and_clocks_import_no_torch():
    program = "import sys, clrun.profiling.spans, clrun.profiling.clocks, clrun.profiling.report, "
    program += "clrun.profiling.peaks; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
