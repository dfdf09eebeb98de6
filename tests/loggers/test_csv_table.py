"""metrics.csv."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from logged_runs import logged_run

from clrun.disk.opening import UnusualFile
from clrun.loggers.csv_table import CsvTable


def line(kind: str, iteration: int, **values: Any) -> dict[str, Any]:
    place = {"experience": 0, "epoch": None, "iteration": iteration, "seconds": 0.5}
    return {"kind": kind, **place, **values}


LINES = [
    line("eval", 0, accuracy=[0.1, 0.2, 0.3]),
    line("step", 10, loss=0.30000000000000004, accuracy=0.5),
    line("step", 20, loss=1e-05, accuracy=None),
    line("experience", 20, vitals={"a, b": 2}),
]


def written(folder: Path, *, steps: bool = True) -> CsvTable:
    table = CsvTable(CsvTable.Config(steps=steps))
    table.begin(logged_run(folder), LINES[:2])
    for each in LINES[2:]:
        table.write(each)
    return table


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_a_line_and_a_column_a_number(tmp_path: Path) -> None:
    written(tmp_path).end("completed")

    found = rows(tmp_path)
    assert [row["kind"] for row in found] == ["eval", "step", "step", "experience"]
    assert list(found[0])[:6] == [
        *("kind", "experience", "epoch", "iteration", "seconds", "eval/accuracy")
    ]
    assert [row["eval/accuracy/1"] for row in found] == ["0.2", "", "", ""]
    assert [row["train/loss"] for row in found] == ["", "0.30000000000000004", "1e-05", ""]
    assert [row["experience/vitals/a, b"] for row in found] == ["", "", "", "2"]
    assert {len(row) for row in found} == {12}


def test_without_steps_there_is_no_row_of_them(tmp_path: Path) -> None:
    written(tmp_path, steps=False).end("completed")

    assert [row["kind"] for row in rows(tmp_path)] == ["eval", "experience"]


def test_a_run_that_goes_on_has_no_row_twice(tmp_path: Path) -> None:
    written(tmp_path).end("interrupted")
    before = (tmp_path / "metrics.csv").read_bytes()

    again = written(tmp_path)
    again.end("completed")

    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    os.symlink(tmp_path / "mine", tmp_path / "metrics.csv")

    with pytest.raises(UnusualFile):
        written(tmp_path)

    assert (tmp_path / "mine").read_text() == "mine"
