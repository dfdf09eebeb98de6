from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from clrun.console.tables import (
    WIDEST,
    cell,
    matrix_table,
    metrics_table,
    print_results,
)
from clrun.metrics import METRICS
from clrun.records.results import Results


def text_of(*what, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    for each in what:
        console.print(each)
    return console.file.getvalue()


def results(matrix, **changes) -> Results:
    usual = {
        "config_hash": "0123456789ab",
        "class_names": [],
        "experiences": [],
        "accuracy_matrix": matrix,
        "class_accuracy": [],
        "initial_accuracy": None,
        "metrics": {"acc_final": 0.5, "bwt": -0.25, "fwt": None},
        "notes": {"fwt": "not measured"},
        "cost": {},
        "memory": {"rows": 0, "bytes": 0},
    }
    return Results(**{**usual, **changes})


def cells(text: str) -> list[list[str]]:
    """The body of a printed table, row by row."""
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[part.strip() for part in line.strip("│").split("│")] for line in lines]


def test_the_matrix_counts_experiences_from_one():
    text = text_of(matrix_table([[0.5, None], [0.25, 1.0]], 200))

    assert cells(text) == [["1", "0.500", "-"], ["2", "0.250", "1.000"]]


@pytest.mark.parametrize(
    ("stream", "title", "verb"),
    [("test", "Test accuracy", "tested"), ("validation", "Validation accuracy", "scored")],
)
def test_the_matrix_says_which_rows_it_is_of(stream, title, verb):
    text = text_of(matrix_table([[0.5, None], [0.25, 1.0]], 200, stream), width=200)
    text = " ".join(text.split())  # the table is narrower than its title

    assert f"{title} by experience" in text
    assert f"row: after training on, column: {verb} on" in text


def test_the_matrix_of_joint_training_has_one_row():
    assert cells(text_of(matrix_table([[0.5, 0.25, 1.0]], 200))) == [
        ["1", "0.500", "0.250", "1.000"]
    ]


def test_a_row_that_was_not_evaluated_has_no_accuracies():
    text = text_of(matrix_table([[], [0.25, 1.0]], 200))

    assert cells(text) == [["1", "-", "-"], ["2", "0.250", "1.000"]]


def test_a_matrix_without_rows_is_an_empty_table():
    assert cells(text_of(matrix_table([], 20))) == []


def test_a_large_matrix_is_shown_at_evenly_spaced_experiences():
    matrix = [[i / 100 if j <= i else None for j in range(100)] for i in range(100)]

    rows = cells(text_of(matrix_table(matrix, 500), width=500))

    assert len(rows) == WIDEST
    assert rows[0][:3] == ["1", "0.000", "-"]
    assert rows[-1] == ["100", *["0.990"] * WIDEST]
    assert {len(row) for row in rows} == {WIDEST + 1}


@pytest.mark.parametrize(
    ("count", "width", "columns", "first"),
    [
        (8, 80, range(1, 9), "0.957"),
        (9, 80, range(1, 10), "0.96"),
        (10, 80, range(1, 11), "0.96"),
        (20, 80, (1, 3, 5, 7, 9, 12, 14, 16, 18, 20), "0.96"),
        (20, 20, (1, 20), "0.96"),
    ],
)
def test_no_accuracy_is_cut_where_the_terminal_is_narrow(count, width, columns, first):
    text = text_of(matrix_table([[0.957] * count] * 2, width), width=max(width, 24))

    header = next(line for line in text.splitlines() if line.startswith("┃"))
    assert [part.strip() for part in header.strip("┃").split("┃")] == ["after", *map(str, columns)]
    assert cells(text)[0] == ["1", *[first] * len(columns)]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_accuracies_are_coloured_from_red_to_green(value):
    red, green, _ = Console().get_style(cell(value).style).bgcolor.triplet

    assert (red > green, red < green) == (value < 0.5 or red > green, value == 1.0 or red < green)
    assert 0 <= red <= 255
    assert 0 <= green <= 255


def test_a_higher_accuracy_is_greener_and_less_red():
    colours = [Console().get_style(cell(value / 10).style).bgcolor.triplet for value in range(11)]

    assert [c.green for c in colours] == sorted(c.green for c in colours)
    assert [c.red for c in colours] == sorted((c.red for c in colours), reverse=True)


def test_an_undefined_metric_is_a_dash_with_the_reason():
    text = text_of(metrics_table({"acc_final": 0.5, "fwt": None}, {"fwt": "not measured"}))

    line = next(line for line in text.splitlines() if line.startswith("forward transfer"))
    assert line.split() == ["forward", "transfer", "-", "not", "measured"]


def test_where_experiences_have_no_test_images_the_pooled_accuracy_stands_for_them():
    metrics = {"acc_final": None, "acc_pooled": 0.75}

    text = text_of(metrics_table(metrics, {"acc_final": "experience 3 has no test images"}))

    first, second = text.splitlines()[:2]
    assert first.split()[:3] == ["pooled", "accuracy", "0.7500"]
    assert second.split()[:3] == ["final", "accuracy", "-"]


@pytest.mark.parametrize(("value", "text"), [(-0.25, "-0.2500"), (0.25, "+0.2500")])
def test_transfer_is_shown_with_its_sign_and_accuracy_without(value, text):
    table = text_of(metrics_table({"acc_final": 0.5, "bwt": value, "fwt": 0.0}, {}))

    assert f" {text} " in table
    assert " 0.5000 " in table


def test_metrics_are_shown_in_the_order_of_their_table():
    values = {metric.key: 0.5 for metric in METRICS}

    labels = [line.split("  ")[0] for line in text_of(metrics_table(values, {})).splitlines()]

    shown = [m.label for m in METRICS if m.in_end_table and m.stands_in_for is None]
    assert [
        " ".join(label.split()[: len(name.split())])
        for label, name in zip(labels, shown, strict=True)
    ] == shown


def printed(what: Results, folder: Path = Path("outputs/run"), width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_results(console, what, folder, 12.34)
    return console.file.getvalue()


def test_the_end_of_a_run_names_its_folder_and_time():
    assert printed(results([[0.5]])).endswith("\n12.3 s. Results: outputs/run\n")


def test_a_long_folder_name_is_not_broken():
    folder = Path("/" + "x" * 300)

    assert f"Results: {folder}\n" in printed(results([[0.5]]), folder, width=80)


@pytest.mark.parametrize("name", ["[bold]", "[/bold]", "a[1]", ":bug:"])
def test_a_folder_s_name_is_text_and_no_markup(name):
    assert printed(results([[0.5]]), Path("outputs") / name).endswith(f"outputs/{name}\n")


def test_the_memory_is_shown_only_where_there_is_one():
    with_memory = results([[0.5]], memory={"rows": 2000, "bytes": 176_000})

    assert "memory: 2,000 rows, 176,000 bytes\n" in printed(with_memory)
    assert "memory" not in printed(results([[0.5]]))
