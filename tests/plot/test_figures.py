"""Figures show the numbers of the runs, and only text where names are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from done_sweeps import done_sweep
from matplotlib.figure import Figure
from matplotlib.text import Text

from clrun.errors import ConfigError, StorageError
from clrun.plot import curves, matrix, pareto
from clrun.plot.curves import Curve
from clrun.plot.figure_file import write_figure
from clrun.plot.figures import accuracies, fronts, matrices
from clrun.plot.looks import COLUMN, PAGE, style
from clrun.plot.matrix import Panel
from clrun.plot.pareto import Spot, amount
from clrun.records.alike import Method
from clrun.sweep.methods import Methods, methods_in

HOSTILE = "<b>$x_{1}$ \\frac{\x1b[2J" + "long " * 30


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Methods:
    return methods_in([str(done_sweep(tmp_path_factory.mktemp("sweep"), failed=7))], "plot")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_a_sweep_is_its_points_and_what_failed_is_counted(found: Methods) -> None:
    assert [method.name for method in found.shown] == [
        "lr=0.05 train_mb_size=32",
        "lr=0.05 train_mb_size=64",
        "lr=0.1 train_mb_size=32",
        "lr=0.1 train_mb_size=64",
    ]
    assert [len(method.runs) for method in found.shown] == [2, 2, 2, 1]
    assert found.notes() == ["left out of 8 runs: 1 not begun."]


def test_the_matrix_has_the_means_of_the_runs_in_its_cells(found: Methods) -> None:
    method = found.shown[0]
    own = [np.asarray(run.results["accuracy_matrix"]) for run in method.runs]

    with matplotlib.rc_context(style()):
        drawn = texts(matrices([method]).draw(COLUMN))

    first = (own[0][0, 0] + own[1][0, 0]) / 2
    half = 12.706 * abs(own[0][0, 0] - own[1][0, 0]) / 2  # t(1) s / sqrt(2), s = |a - b| / sqrt(2)
    said = "1.0" if first >= 0.995 else f"{first:.2f}".lstrip("0")
    assert f"{said}\n±{half:.2f}".replace("±0.", "±.") in drawn
    assert "lr=0.05 train_mb_size=32 (2 runs)" in drawn


def test_curves_of_several_methods_are_means_so_far_and_of_one_those_of_experiences(
    found: Methods,
) -> None:
    with matplotlib.rc_context(style()):
        several = accuracies(found.shown).draw(COLUMN)
        alone = accuracies(found.shown[:1]).draw(COLUMN)

    (axes,) = several.axes
    assert len(axes.lines) == 4
    matrices = [np.asarray(run.results["accuracy_matrix"]) for run in found.shown[0].runs]
    expected = [np.mean([m[i, : i + 1].mean() for m in matrices]) for i in range(5)]
    assert axes.lines[0].get_ydata() == pytest.approx(expected)
    assert [line.get_label() for line in alone.axes[0].lines][-1] == "mean of those so far"
    assert alone.axes[0].lines[1].get_xdata().tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("against", ["bytes", "macs", "seconds"])
def test_the_front_has_each_method_at_its_cost(found: Methods, against: str) -> None:
    with matplotlib.rc_context(style()):
        figure = fronts(found.shown, against).draw(PAGE)

    places = [
        (x, y)
        for container in figure.axes[0].containers
        for x, y in container[0].get_xydata().tolist()
    ]
    assert sorted(y for _, y in places) == pytest.approx(
        sorted(np.mean([r.metrics["acc_final"] for r in m.runs]) for m in found.shown)
    )
    if against == "macs":
        costs = {r.cost["train_macs"] for m in found.shown for r in m.runs}
        assert {x for x, _ in places} == costs


def test_a_method_without_the_cost_is_counted_or_nothing_is_drawn(found: Methods) -> None:
    def without(method: Method) -> Method:
        runs = [replace(r, results={**r.results, "cost": {}}) for r in method.runs]
        return replace(method, runs=tuple(runs))

    drawn = fronts([without(found.shown[0]), *found.shown[1:]], "macs")
    assert drawn.notes == [
        "1 of 4 methods have no acc_final or no multiply-accumulates of training."
    ]
    with pytest.raises(ConfigError, match=r"^--against=macs: no run has acc_final"):
        fronts([without(method) for method in found.shown], "macs")


def test_of_too_many_methods_the_best_are_drawn_and_it_says_so(found: Methods) -> None:
    many = [replace(m, values={**m.values, "n": str(k)}) for k in range(3) for m in found.shown]

    drawn = matrices(many)

    assert drawn.notes == ["the best 6 of 12 methods are shown, by acc_final."]
    with matplotlib.rc_context(style()):
        assert len(drawn.draw(PAGE).axes) == 7  # and the bar of colours


@pytest.mark.parametrize("width", [COLUMN, PAGE])
@pytest.mark.parametrize("kind", ["matrix", "curves", "pareto"])
def test_any_name_is_text_inside_the_figure(kind: str, width: float) -> None:
    one = np.array([[0.5, np.nan], [0.25, 1.0]])
    x = np.array([1.0, 2.0])
    with matplotlib.rc_context(style()):
        if kind == "matrix":
            figure = matrix.draw([Panel(title=HOSTILE, mean=one, half=one / 9)] * 2, width)
        elif kind == "curves":
            lines = [Curve(name=HOSTILE, x=x, mean=x / 3, half=x / 9)] * 3
            figure = curves.draw(lines, x_label="experience", y_label="accuracy", width=width)
        else:
            spots = [
                Spot(kind=f"{k}", name=HOSTILE, cost=10.0**k, accuracy=k / 9, half=0.1)
                for k in range(5)
            ]
            figure = pareto.draw(spots, cost="c", unit="B", accuracy="a", width=width)
        box = figure.get_tightbbox()

    assert any("<b>$x_{1}$ \\frac{\\x1b[2J" in text for text in texts(figure))
    high = figure.get_figheight()
    assert (box.x0 >= -0.01, box.y0 >= -0.01, box.y1 <= high + 0.01) == (True, True, True)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_runs_give_the_same_bytes_and_letters_stay_letters(
    found: Methods, tmp_path: Path, ending: str
) -> None:
    paths = [tmp_path / f"{name}.{ending}" for name in ("one", "two")]
    for path in paths:
        write_figure(path, lambda: accuracies(found.shown).draw(COLUMN))

    first, second = (path.read_bytes() for path in paths)
    assert first == second
    if ending == "svg":
        assert re.search(rb"<text[^>]*>[^<]*experience", first)
        assert b"<dc:date>" not in first
    if ending == "pdf":
        assert b"/FontFile2" in first  # TrueType, in the file
        assert b"/CreationDate" not in first


def test_a_file_that_cannot_be_written_leaves_the_old_one(found: Methods, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match=r"^.*figure.png"):
            write_figure(tmp_path / "none" / "figure.png", lambda: matrices(found.shown).draw(3))
    finally:
        tmp_path.chmod(0o700)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("value", "said"), [(6_912_000, "6.91 MB"), (0, "0 B"), (950, "950 B"), (2e12, "2 TB")]
)
def test_amounts_have_prefixes(value: float, said: str) -> None:
    assert amount(value, "B") == said
