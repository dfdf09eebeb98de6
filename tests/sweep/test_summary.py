from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic_sweep import complete, fail, grid, interrupt, make_sweep

from clrun.disk import secrets
from clrun.sweep.csv_text import csv_text
from clrun.sweep.folder import SweepFolder
from clrun.sweep.index import read_index
from clrun.sweep.manifest import read_manifest
from clrun.sweep.progress import progress, way_on
from clrun.sweep.summary import Row, current, finish, print_end


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "a sweep"
    jobs = make_sweep(path, grid(2, 3))
    for job in jobs[:3]:
        complete(path, job, 0.5 + 0.01 * job.number)
    fail(path, jobs[3], 'the loss is nan, "really".\nIt is.')
    interrupt(path, jobs[4])
    return path


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((path / "sweep.csv").read_bytes().decode())))


def test_there_is_a_row_for_each_job_with_what_was_swept_found_and_spent(sweep: Path) -> None:
    finish(sweep)

    rows = table(sweep)
    assert [row["status"] for row in rows] == [
        *("completed", "completed", "completed", "failed", "interrupted", "queued")
    ]
    assert {key: rows[1][key] for key in ("number", "strategy.lr", "seed")} == {
        "number": "1",
        "strategy.lr": "0.1",
        "seed": "1",
    }
    assert float(rows[1]["acc_final"]) == 0.51
    assert (rows[1]["fwt"], rows[1]["wall_seconds.train"], rows[1]["train_steps"]) == (
        *("", "1.5", "98"),
    )
    assert rows[1]["overrides"] == "strategy=naive strategy.lr=0.1 seed=1"
    assert (rows[3]["acc_final"], rows[3]["reason"]) == ("", 'the loss is nan, "really".\nIt is.')
    assert not any("matrix" in key for key in rows[0])


def test_lines_end_as_the_standard_says(sweep: Path) -> None:
    finish(sweep)

    content = (sweep / "sweep.csv").read_bytes()
    assert content.count(b"\r\n") == 7


def test_a_text_is_no_formula_and_a_number_stays_one(tmp_path: Path) -> None:
    words = ["=1+1", "-1", "+1e-3", "@SUM(A1)", "-x", "a,b", "\u00e4 \u03bc"]
    make_sweep(tmp_path / "sweep", [{"run_name": word} for word in words])

    finish(tmp_path / "sweep")

    found = [row["run_name"] for row in table(tmp_path / "sweep")]
    assert found == ["'=1+1", "-1", "+1e-3", "'@SUM(A1)", "'-x", "a,b", "\u00e4 \u03bc"]


def test_the_index_says_the_same_for_sql(sweep: Path) -> None:
    finish(sweep)

    with closing(sqlite3.connect(sweep / "index.sqlite")) as index:
        found = index.execute("SELECT number, status, swept, metrics, cost FROM runs").fetchall()
        [(mean,)] = index.execute(
            "SELECT AVG(acc_final) FROM runs WHERE status = 'completed'"
        ).fetchall()
    assert mean == pytest.approx(0.51)
    assert [row[1] for row in found] == [row["status"] for row in table(sweep)]
    assert json.loads(found[2][2]) == {"strategy.lr": "0.1", "seed": "2"}
    assert json.loads(found[2][3])["fwt"] is None
    assert json.loads(found[2][4])["wall_seconds.train"] == 1.5


def garbled(content: bytes, place: int) -> bytes:
    """One byte is another, somewhere in what the rows say."""
    start = content.index(b"wall_seconds.train") + 11 * place
    return content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :]


def test_an_index_that_is_garbled_or_gone_is_made_again_the_same(sweep: Path) -> None:
    rows = finish(sweep)
    index = SweepFolder(sweep).index
    content = index.read_bytes()
    assert read_index(index) == rows
    for place in range(20):
        index.write_bytes(garbled(content, place) if place < 19 else content[: len(content) // 2])
        assert read_index(index) is None

        assert current(sweep, progress(sweep)) == rows

        assert index.read_bytes() == content


def test_an_index_is_not_current_once_a_job_stands_otherwise(sweep: Path) -> None:
    finish(sweep)

    complete(sweep, read_manifest(sweep)[5], 0.9)

    assert current(sweep, progress(sweep))[5].status == "completed"


def test_where_nothing_can_be_written_the_folders_say_it_all_the_same(sweep: Path) -> None:
    for name in ("sweep.csv", "index.sqlite"):
        (sweep / name).mkdir()  # in the way

    assert [row.status for row in current(sweep, progress(sweep))][:4] == [
        *("completed", "completed", "completed", "failed"),
    ]


def test_results_with_large_matrices_are_read_from_their_end(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    [job] = make_sweep(path, grid(1, 1))
    complete(path, job, 0.123456789, experiences=300)
    results = path / job.folder / "results.json"
    assert results.stat().st_size > 2**20
    text = results.read_text()
    damaged = "[[[" + text[3:]  # which only who reads all of it would see
    results.write_text(damaged)

    [row] = finish(path)

    assert row.metrics["acc_final"] == 0.123456789


def test_results_that_somebody_else_wrote_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    [job] = make_sweep(path, grid(1, 1))
    complete(path, job, 0.25)
    results = path / job.folder / "results.json"
    results.write_text(json.dumps(json.loads(results.read_text())))

    assert finish(path)[0].metrics["acc_final"] == 0.25


@pytest.mark.parametrize("content", ["", "[]", "{", '{"metrics": 1, "cost": {}}'])
def test_damaged_results_are_empty_cells(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sweep"
    [job] = make_sweep(path, grid(1, 1))
    complete(path, job, 0.25)
    (path / job.folder / "results.json").write_text(content)

    [row] = finish(path)

    assert row.metrics == {}
    assert row.status == "completed"


def test_the_end_says_how_to_go_on(sweep: Path) -> None:
    shown = Console(file=io.StringIO(), width=200)

    print_end(shown, sweep, 61.0)

    lines = shown.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[-1] == f"To go on: clrun resume '{sweep}'"
    assert lines[-2].startswith(
        "6 jobs: 3 completed, 1 failed, 1 interrupted, 1 not started. 1:01. Results:"
    )
    assert [line for line in lines if line.startswith("failed: strategy.lr=0.2 seed=0: the loss")]


def test_what_failed_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    jobs = make_sweep(path, grid(2, 1))
    complete(path, jobs[0], 0.5)
    fail(path, jobs[1], "why")
    assert way_on(path, [each.state for each in progress(path)]).endswith("--retry-failed")

    complete(path, jobs[1], 0.5)

    assert way_on(path, [each.state for each in progress(path)]) == ""


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)


@given(
    st.lists(
        st.tuples(TEXTS, st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_was_swept_and_found_is_read_back(given: list[tuple[str, float | None]]) -> None:
    rows = [
        Row(
            number=number,
            values={"run_name": text},
            overrides=(f"run_name={text}",),
            folder=f"a-{number}",
            config_hash="0123",
            status="completed",
            reason=text or None,
            metrics={"acc_final": value},
            cost={},
            seconds=value,
            attempts=1,
            host="h",
            ended="",
        )
        for number, (text, value) in enumerate(given)
    ]

    found = list(csv.DictReader(io.StringIO(csv_text(rows), newline="")))

    for row, (text, value) in zip(found, given, strict=True):
        assert row["run_name"].removeprefix("'") == text.removeprefix("'")
        assert not re.match(r"[=@]", row["run_name"])
        assert row["acc_final"] == ("" if value is None else str(value))


def test_secrets_stand_in_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep"
    [job] = make_sweep(path, [{"run_name": "hush-hush-hush"}])
    fail(path, job, "hush-hush-hush is refused")
    monkeypatch.setattr(secrets, "_READ", {})
    secrets.note_read("HUB_TOKEN", "hush-hush-hush")

    finish(path)

    for name in ("sweep.csv", "index.sqlite"):
        content = (path / name).read_bytes()
        assert b"hush" not in content
        assert b"${oc.env:HUB_TOKEN}" in content
