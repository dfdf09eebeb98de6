from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.errors import StorageError
from clrun.records.raw_log import RawLog, read_raw_log


@pytest.fixture
def raw_log(tmp_path):
    log = RawLog(tmp_path / "metrics.jsonl")
    yield log
    log.close()


def write(log: RawLog, iteration: int, **values) -> None:
    log.write("step", experience=0, epoch=1, iteration=iteration, **values)


def test_a_line_says_what_it_is_and_where_in_the_run(raw_log):
    write(raw_log, 7, loss=0.5, names=["a"])

    (line,) = read_raw_log(raw_log.path)
    seconds = line.pop("seconds")
    assert 0 <= seconds < 60
    assert line == {
        **{"kind": "step", "experience": 0, "epoch": 1, "iteration": 7},
        **{"loss": 0.5, "names": ["a"]},
    }


def test_seconds_never_go_back(raw_log):
    for iteration in range(20):
        write(raw_log, iteration)

    seconds = [line["seconds"] for line in read_raw_log(raw_log.path)]
    assert seconds == sorted(seconds)


def test_a_line_can_be_read_while_the_run_goes_on(raw_log):
    write(raw_log, 0)

    assert len(read_raw_log(raw_log.path)) == 1


def test_a_value_that_is_no_json_writes_nothing(raw_log):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(raw_log, 0, loss=float("inf"))

    assert raw_log.path.read_text() == ""


@given(st.integers(1, 200))
@settings(deadline=None, max_examples=30)
def test_a_torn_last_line_is_left_out(tmp_path_factory, torn):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    log = RawLog(path)
    for iteration in range(3):
        write(log, iteration, note="ü\n")
    log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    cut = min(torn, len(lines[-1]))

    os.truncate(path, path.stat().st_size - cut)

    assert [line["iteration"] for line in read_raw_log(path)] == [0, 1]


def test_a_line_damaged_in_the_middle_is_not_passed_over(raw_log):
    write(raw_log, 0)
    raw_log.path.write_text('{"kind": \n{"kind": "step"}\n')

    with pytest.raises(json.JSONDecodeError):
        read_raw_log(raw_log.path)


def test_an_empty_log_has_no_lines(raw_log):
    assert read_raw_log(raw_log.path) == []


def test_a_log_that_cannot_be_opened_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match=r"gone/metrics.jsonl: No such file or directory\."):
        RawLog(tmp_path / "gone" / "metrics.jsonl")


DISK_FULL = """
import resource, sys
from contextlib import ExitStack
from pathlib import Path
from clrun.errors import StorageError
from clrun.records.raw_log import RawLog

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with ExitStack() as stack:
        log = RawLog(Path(sys.argv[1]))
        stack.callback(log.close)
        for iteration in range(1000):
            log.write("step", experience=0, epoch=0, iteration=iteration)
except StorageError as error:
    print(error, error.exit_code)
"""


def test_a_full_disk_is_a_storage_error_and_the_lines_before_it_can_be_read(tmp_path):
    path = tmp_path / "metrics.jsonl"

    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, path], capture_output=True, text=True, check=True
    )

    lines = read_raw_log(path)
    assert done.stdout == f"{path}: File too large. 5\n"
    assert len(lines) > 5
    assert [line["iteration"] for line in lines] == list(range(len(lines)))


def test_a_log_is_cut_where_a_state_says_and_goes_on_from_there(raw_log):
    write(raw_log, 0, note="ü")
    state = raw_log.state_dict()
    write(raw_log, 1)
    write(raw_log, 2)

    raw_log.load_state_dict({**state, "seconds": state["seconds"] + 1000})
    write(raw_log, 7)

    lines = read_raw_log(raw_log.path)
    assert [line["iteration"] for line in lines] == [0, 7]
    assert lines[1]["seconds"] >= 1000
    assert state["offset"] == len(raw_log.path.read_bytes().splitlines(keepends=True)[0])


def test_a_log_that_lost_lines_is_refused(raw_log):
    write(raw_log, 0)
    state = raw_log.state_dict()
    os.truncate(raw_log.path, 5)

    with pytest.raises(StorageError, match="has 5 bytes, and had"):
        raw_log.load_state_dict(state)


def test_what_was_written_is_returned(raw_log):
    line = raw_log.write("eval", experience=None, epoch=None, iteration=3, accuracy=[0.5])

    assert [line] == read_raw_log(raw_log.path)


def removed(path: Path) -> None:
    path.unlink()


def with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def folder_renamed(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replaced(path: Path) -> None:
    path.unlink()
    path.write_text("")


@pytest.mark.parametrize("gone", [removed, with_its_folder, folder_renamed, replaced])
def test_a_log_that_is_gone_is_noticed_with_the_next_evaluation_and_the_next_state(tmp_path, gone):
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    log = RawLog(path)
    write(log, 0)

    gone(path)

    with pytest.raises(StorageError, match="was removed or renamed while the run was writing"):
        log.write("eval", experience=0, epoch=1, iteration=1)
    with pytest.raises(StorageError, match="was removed or renamed"):
        log.state_dict()
    log.close()


def test_a_log_that_is_gone_is_noticed_by_updates_alone_too(raw_log, monkeypatch):
    write(raw_log, 0)
    raw_log.path.unlink()
    write(raw_log, 1)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)

    with pytest.raises(StorageError, match="was removed or renamed"):
        write(raw_log, 2)


def test_a_line_that_does_not_fit_leaves_no_part_of_it(tmp_path):
    program = """
import resource, sys
from pathlib import Path
from clrun.errors import StorageError
from clrun.records.raw_log import RawLog

log = RawLog(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 2000))
try:
    for iteration in range(1000):
        log.write("step", experience=0, epoch=0, iteration=iteration)
except StorageError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    log.write("step", experience=0, epoch=0, iteration=iteration)
"""
    path = tmp_path / "metrics.jsonl"

    subprocess.run([sys.executable, "-c", program, path], check=True)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(len(lines)))
    assert len(lines) > 5


@pytest.mark.parametrize("tail", [b"\xff\xfe", b"\0" * 4096, '{"kind": "ü'.encode()[:-1]])
def test_a_last_line_of_rubbish_after_a_crash_is_left_out(raw_log, tail):
    write(raw_log, 0)
    with raw_log.path.open("ab") as file:
        file.write(tail)

    assert [line["iteration"] for line in read_raw_log(raw_log.path)] == [0]


def test_a_log_that_is_a_link_is_not_written_through(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "metrics.jsonl").symlink_to(elsewhere)

    with pytest.raises(StorageError, match="is a link, which is not followed"):
        RawLog(tmp_path / "metrics.jsonl")

    assert elsewhere.read_text() == "mine"
