"""Where lines, points, colours and numbers of a page stand."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clrun.report import numbers
from clrun.report.bars import Bar, Bars, Part, Stack
from clrun.report.heat import Cell, HeatMap
from clrun.report.lines import Axis, LineChart, Series
from clrun.report.png import png, shrunk, strip
from clrun.report.ramp import ramp_style, step
from clrun.report.scatter import Scatter, Spot
from clrun.report.svg import spread_out
from clrun.report.ticks import decimals, powers, ticks, whole


@pytest.mark.parametrize(
    ("write", "number", "text"),
    [
        (numbers.decimal, 0.94567, "0.946"),
        (numbers.decimal, -0.0001, "0.000"),
        (numbers.decimal, None, "\u2013"),
        (numbers.decimal, float("nan"), "\u2013"),
        (numbers.signed, 0.0316, "+0.032"),
        (numbers.signed, -0.0316, "\u22120.032"),
        (numbers.signed, 0.0001, "0.000"),
        (numbers.seconds, 0.4149, "0.415 s"),
        (numbers.seconds, 200, "3 min 20 s"),
        (numbers.seconds, 7500, "2 h 05 min"),
        (numbers.size, 17_600, "17.6 kB"),
        (numbers.size, 12, "12 bytes"),
        (numbers.short, 783_294_400, "783 M"),
        (numbers.short, 0, "0"),
        (numbers.short, 0.0125, "0.0125"),
        (numbers.short, 150, "150"),
        (numbers.count, 1442, "1,442"),
        (numbers.value, None, "null"),
        (numbers.value, [1, 2.5, True], "[1, 2.5, true]"),
    ],
)
def test_a_number_is_written_for_people(write, number, text):
    assert write(number) == text


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.integers(2, 12),
)
def test_ticks_are_evenly_apart_inside_and_few(low, span, most):
    found = ticks(low, low + span, most)

    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in found)
    apart = np.diff(found)
    assert np.allclose(apart, apart[:1] if len(apart) else 0, rtol=1e-3)


def test_ticks_by_hand():
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert whole(1, 5) == [1, 2, 3, 4, 5]
    assert whole(1, 391)[-1] == 391
    assert powers(900, 2e6) == pytest.approx([1e3, 1e4, 1e5, 1e6])


def test_the_numbers_beside_an_axis_are_as_far_apart_as_its_lines() -> None:
    assert decimals(ticks(0.77, 0.9), least=2) == 3  # 0.775, 0.8, ...
    assert decimals(ticks(0, 1), least=2) == 2
    assert decimals(ticks(0, 1)) == 1


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=15))
def test_names_at_the_ends_of_lines_do_not_overlap(places):
    found = spread_out(sorted(places), 48, 1000)

    assert all(b - a >= 48 - 1e-6 for a, b in pairwise(found))
    assert found[-1] <= 1000


def chart(**changes) -> LineChart:
    given = {
        "id": "c",
        "title": "t",
        "summary": "s",
        "axes": [Axis("experience", "experience", "experience"), Axis("update", "updates")],
        "clocks": [{"experience": [1.0, 2.0, 3.0], "update": [10.0, 20.0, 40.0]}],
        "series": [
            Series(name="a", y=[1.0, None, 0.25], low=[0.9, None, 0.0], high=[1, None, 0.5])
        ],
        "y_label": "y",
    }
    return LineChart(**(given | changes))


def test_a_line_is_broken_where_nothing_was_measured():
    [series] = chart().series

    assert chart().line(series) == "M0 0M1000 750"
    assert chart().band(series) == "M0 0L1000 500L1000 1000L0 100Z"
    assert [mark[:2] for mark in chart().marks(series)] == [(0, "M0 0h0"), (2, "M1000 750h0")]
    assert [tick.text for tick in chart().ticks(chart().axes[1])] == ["0", "10", "20", "30", "40"]
    assert chart().data()["axes"][1]["span"] == (0.0, 40.0)


def test_of_very_many_moments_those_of_the_table_are_marked():
    many = [k / 100 for k in range(100)]
    clock = {"experience": many, "update": many}
    dense = chart(
        clocks=[clock], series=[Series(name="a", y=many)], rows=["1", "2"], places=[49, 99]
    )

    assert [at for at, _, _ in dense.marks(dense.series[0])] == [49, 99]
    assert dense.table_rows() == [("1", 49), ("2", 99)]


def test_points_that_no_other_is_better_than_are_joined_by_steps():
    spots = [
        Spot("a", 1.0, 0.5, is_front=True),
        Spot("b", 10.0, 0.7, 0.6, 0.8, is_front=True),
        Spot("c", 10.0, 0.4),
    ]
    found = Scatter(
        id="s", title="t", summary="s", spots=spots, x_label="x", y_label="y", is_log=True
    )

    (_, x1, y1, none), (_, x2, y2, interval), _ = found.places()

    assert found.front() == f"M{x1} {y1}H{x2}V{y2}"
    assert x1 < x2
    assert none == ""
    assert interval.startswith(f"M{x2} ")
    assert found.x_ticks()[0].text == "1"


def test_a_change_for_the_worse_has_another_colour_than_one_for_the_better():
    def colours(**changes):
        cells = [[Cell(-0.2), Cell(0.0), Cell(0.4), Cell(None)]]
        found = HeatMap(
            id="h",
            caption="c",
            row_label="r",
            column_label="c",
            row_names=["1"],
            column_names=list("1234"),
            cells=cells,
            **changes,
        )
        return [found.colour(cell) for cell in cells[0]]

    assert colours(shade="change") == ["cm5", "cp0", "cp10", "h-none"]
    assert colours(shade="change", is_lower_better=True) == ["cp5", "cp0", "cm10", "h-none"]
    assert colours(shade="range") == ["h0", "h7", "h20", "h-none"]
    assert step(0.5) == "h10"
    assert step(float("nan")) == "h-none"


def test_every_colour_can_be_read_on():
    from clrun.report.ramp import _contrast

    rules = [rule for rule in ramp_style().split(".") if "background" in rule]

    assert len(rules) == 2 * (21 + 22)
    for rule in rules:
        background = rule.partition("background:")[2][:7]
        ink = rule.partition("color:")[2][:7]
        assert _contrast(ink, background) >= 4.5, rule


def test_bars_and_stacks_fill_the_room_that_they_have():
    bars = Bars(caption="c", bars=[Bar("a", 2.0, "2"), Bar("b", 1.0, "1", 0.5, 4.0)])
    stack = Stack(
        id="s",
        title="t",
        summary="s",
        columns=["1", "2"],
        column_label="c",
        parts=[Part("x", [1, 2]), Part("y", [0, 2])],
        unit="rows",
    )

    assert [bars.percent(value) for value in (2.0, 4.0, None)] == [50.0, 100.0, 0.0]
    assert stack.totals() == [1, 4]
    assert [height for *_, height in stack.pieces(0)] == [25.0]
    assert [height for *_, height in stack.pieces(1)] == [50.0, 50.0]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_the_png_of_its_pixels(channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, channels, 5, 4), dtype=np.uint8)

    found = np.asarray(Image.open(io.BytesIO(png(strip(images)))))

    assert found.shape == ((5, 14) if channels == 1 else (5, 14, 3))
    assert (found[:, 5:9].reshape(5, 4, -1) == images[1].transpose(1, 2, 0)).all()


def test_a_large_picture_is_made_smaller_by_means():
    image = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)

    assert shrunk(image, 8) is image
    assert shrunk(image, 4)[0, 0, 0, 0] == round((0 + 1 + 8 + 9) / 4)
    assert shrunk(image, 3).shape == (1, 1, 2, 2)
