from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from clrun.preview.facts import Preview
from clrun.preview.table import described, print_preview, size, spans


def shown(preview: Preview, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    print_preview(console, preview)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_few_classes_have_a_column_each(previewed: Callable[..., Preview]) -> None:
    told = shown(previewed("strategy=naive"), 120)

    [row] = [line for line in told.splitlines() if line.startswith("│   2 │")]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["2", "289", "71", "2", "200", "·", "·", "142", "147", *["·"] * 6]
    assert "10 classes in 5 experiences, 1,442 training and 355 test images of 8x8" in told
    assert "strategy=naive: 980 updates (20 epochs, minibatches of 32)" in told
    assert "data: 129.4 kB in memory" in told


@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_no_line_of_the_table_is_wider_than_the_terminal(
    width: int, preview_of: Callable[..., Preview]
) -> None:
    counts = [[(k * 7 + label) % 5 for label in range(60)] for k in range(391)]

    told = shown(preview_of(counts), width)

    assert max(map(len, told.splitlines())) <= width


def test_many_experiences_are_shown_at_evenly_spaced_ones(
    preview_of: Callable[..., Preview],
) -> None:
    told = shown(preview_of([[2, 3]] * 391), 100)

    rows = [line.split("│")[1].strip() for line in told.splitlines() if line.startswith("│")]
    assert len(rows) == 21
    assert (rows[0], rows[-2], rows[-1]) == ("1", "391", "all")
    assert "20 of 391 experiences; new" in told


def test_many_classes_are_summed_up(preview_of: Callable[..., Preview]) -> None:
    counts = [[300 * (label // 10 == k) for label in range(50)] for k in range(5)]

    told = shown(preview_of(counts), 100)

    assert "300 (10-19)" in told
    assert "300 (0-49)" in told


def test_classes_that_have_names_are_named(preview_of: Callable[..., Preview]) -> None:
    assert "classes: 0 cat, 1 dog" in shown(preview_of([[1, 2]], names=("cat", "dog")), 80)
    assert "classes:" not in shown(preview_of([[1, 2]]), 80)


def test_held_out_rows_have_a_column(previewed: Callable[..., Preview]) -> None:
    told = shown(previewed("strategy=naive", "benchmark.validation_fraction=0.1"), 120)

    assert "val." in told


def test_a_strategy_that_learns_at_once_has_no_updates_by_experience(
    previewed: Callable[..., Preview],
) -> None:
    told = shown(previewed("strategy=joint"), 120)

    assert "updates ┃" not in told
    assert "920 updates" in told


@pytest.mark.parametrize(
    ("labels", "told"),
    [([3], "3"), ([0, 1, 2], "0-2"), ([0, 2, 3, 9], "0, 2-3, 9")],
)
def test_runs_of_labels_are_drawn_together(labels: list[int], told: str) -> None:
    assert spans(labels) == told


def test_unequal_classes_are_told_by_their_fewest_and_most_rows() -> None:
    assert described({1: 300, 2: 5, 4: 1200}) == "5-1,200 (1-2, 4)"


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (47_040_000, "47.0 MB"), (5.9e9, "5.9 GB")],
)
def test_bytes_are_told_in_the_unit_that_suits(number: float, told: str) -> None:
    assert size(number) == told
