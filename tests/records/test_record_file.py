from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from clrun.errors import StorageError
from clrun.records.record_file import write_record

RUNNING = {"status": "running", "error": None, "classes": ["a", "ü"]}


def test_the_record_of_a_run_that_goes_on_has_room_for_its_end(tmp_path):
    path = tmp_path / "run.json"

    write_record(path, RUNNING)
    during = path.read_bytes()
    write_record(path, {**RUNNING, "status": "completed"})

    assert json.loads(during) == RUNNING
    assert during.endswith(b" " * 1000 + b"\n")
    assert path.read_bytes().endswith(b"\n}\n")


NO_NEW_FILE = """
import json, os, sys
from pathlib import Path
from clrun.records.record_file import write_record

path, errors = Path(sys.argv[1]), json.loads(sys.argv[2])
write_record(path, {"status": "running", "error": None})
open_ = os.open

def refused(name, flags, *more, **keywords):
    if flags & os.O_CREAT:
        raise OSError(28, "No space left on device")
    return open_(name, flags, *more, **keywords)

os.open = refused
for error in errors:
    write_record(path, {"status": "failed", "error": error})
"""


@pytest.mark.parametrize(
    "errors", [["short"], ["x" * 100_000], ["ü" * 5_000], ["long " * 1_000, "short"]]
)
def test_without_room_for_a_file_the_end_is_written_over_the_old_record(tmp_path, errors):
    path = tmp_path / "run.json"
    words = [sys.executable, "-c", NO_NEW_FILE, path, json.dumps(errors)]

    subprocess.run(words, check=True, capture_output=True, text=True)

    record = json.loads(path.read_text())
    assert record["status"] == "failed"
    assert record["error"].removesuffix("...") in errors[-1]
    assert len(record["error"]) >= min(len(errors[-1]), 150)
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_record_is_never_written_through_a_link(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("x" * 5000)
    (tmp_path / "run.json").symlink_to(elsewhere)

    write_record(tmp_path / "run.json", {**RUNNING, "status": "failed"})

    assert elsewhere.read_text() == "x" * 5000


def test_a_folder_that_is_gone_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"gone/run.json: No such file or directory\."):
        write_record(tmp_path / "gone" / "run.json", {**RUNNING, "status": "failed"})
