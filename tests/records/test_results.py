from __future__ import annotations

import csv
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.records.results import Results, matrix_csv

ACCURACIES = st.one_of(st.none(), st.floats(0, 1))
MATRICES = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(ACCURACIES, min_size=n, max_size=n) | st.just([]),  # one that was not evaluated
        max_size=5,
    )
)


def results(**changes) -> Results:
    usual = {
        "config_hash": "0123456789ab",
        "class_names": ["cat", "dog"],
        "experiences": [{"classes": [0, 1], "train_rows": 4, "test_rows": 2}],
        "accuracy_matrix": [[0.5, None], [0.25, 1.0]],
        "class_accuracy": [[0.5, 0.5], [0.0, 1.0]],
        "initial_accuracy": None,
        "metrics": {"acc_final": 0.625, "fwt": None},
        "notes": {"fwt": "not measured"},
        "cost": {"train_steps": 1},
        "memory": {"rows": 0},
    }
    return Results(**{**usual, **changes})


def test_results_are_written_as_json_and_as_a_table(tmp_path):
    results().save(tmp_path)

    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["schema"] == 1
    assert saved["accuracy_matrix"] == [[0.5, None], [0.25, 1.0]]
    assert saved["metrics"]["fwt"] is None
    assert (tmp_path / "accuracy_matrix.csv").read_text() == (
        "after_experience,experience_0,experience_1\n0,0.500000,\n1,0.250000,1.000000\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["accuracy_matrix.csv", "results.json"]


def test_the_same_results_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        results().save(tmp_path / name)

    for file in ("results.json", "accuracy_matrix.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_number_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        results(metrics={"bwt": float("nan")}).save(tmp_path)

    assert os.listdir(tmp_path) == []


@given(MATRICES)
@settings(deadline=None, max_examples=50)
def test_the_table_has_a_line_for_each_row_and_an_empty_cell_for_none(matrix):
    header, *lines = csv.reader(matrix_csv(matrix).splitlines())

    assert [line[0] for line in lines] == [str(i) for i in range(len(matrix))]
    assert len(header) == 1 + max(map(len, matrix), default=0)
    for line, row in zip(lines, matrix, strict=True):
        read = [float(cell) if cell else None for cell in line[1:]]
        assert read == [None if value is None else pytest.approx(value, abs=5e-7) for value in row]
