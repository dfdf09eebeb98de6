"""scripts/prove_cuda without a GPU: every part runs, and a part that fails stops no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "prove_cuda.py"
PARTS = (
    *("environment", "agreement", "waits", "speed", "repeats"),
    *("tests", "precisions", "busy", "resume", "seeds", "auto"),
)


def proved(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def rows_of(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
def test_every_part_says_something_and_nothing_is_wrong(tmp_path):
    ended = proved("--out", str(tmp_path / "table.md"))

    rows = rows_of(ended.stdout)
    assert [row for row in rows if row[-1] == "no" or "not run" in row[2]] == []
    assert ended.returncode == 0, ended.stderr
    assert tuple(dict.fromkeys(row[0] for row in rows)) == PARTS
    assert rows_of((tmp_path / "table.md").read_text()) == rows
    assert any(row[:2] == ["resume", "replay resident"] and row[3] == "ok" for row in rows)


def test_a_part_that_fails_is_a_row_and_the_next_one_runs(tmp_path):
    (tmp_path / "machine_fails").mkdir()
    (tmp_path / "machine_fails" / "sitecustomize.py").write_text(
        "import sys\n"
        "if '--part' in sys.argv and 'waits' in sys.argv:\n"
        "    raise SystemExit('the part is broken')\n"
    )

    ended = proved(
        "--only", "waits", "environment", PYTHONPATH=f"{tmp_path / 'machine_fails'}:{_path()}"
    )

    rows = rows_of(ended.stdout)
    assert [(row[0], row[-1]) for row in rows[:1]] == [("waits", "no")]
    assert {row[0] for row in rows[1:]} == {"environment"}
    assert ended.returncode == 1


def test_without_time_nothing_is_begun_and_that_is_said():
    ended = proved("--minutes", "0", "--only", "environment")

    assert "no time was left" in ended.stdout


def _path() -> str:
    return os.environ.get("PYTHONPATH", "")
