from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clrun.disk.files import storage_errors, whole_file, write_json, write_text
from clrun.errors import StorageError


def test_a_file_is_replaced_by_its_new_content(tmp_path):
    path = tmp_path / "results.json"
    write_text(path, "old and longer")

    write_text(path, "new ü\n")

    assert path.read_bytes() == "new ü\n".encode()
    assert os.listdir(tmp_path) == ["results.json"]


def test_a_reader_keeps_the_content_it_opened(tmp_path):
    path = tmp_path / "results.json"
    write_text(path, "old")

    with path.open() as reader:
        write_text(path, "new")

        assert reader.read() == "old"


def test_a_file_is_as_open_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "run.json", "")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o640


DISK_FULL = """
import resource, sys
from pathlib import Path
from clrun.errors import StorageError
from clrun.disk.files import write_text

path = Path(sys.argv[1])
write_text(path, "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_text(path, "x" * 20_000)
except StorageError as error:
    print(error, error.exit_code)
"""


def test_a_full_disk_leaves_the_old_content_and_no_rubbish(tmp_path):
    path = tmp_path / "results.json"

    writer = subprocess.run(
        [sys.executable, "-c", DISK_FULL, path], capture_output=True, text=True, check=True
    )

    assert writer.stdout.startswith(f"{path}: File too large. 5")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["results.json"]


def test_a_file_that_cannot_take_its_place_leaves_no_rubbish(tmp_path):
    path = tmp_path / "results.json"
    path.mkdir()

    with pytest.raises(StorageError, match=r"results.json: Is a directory\."):
        write_text(path, "new")

    assert os.listdir(tmp_path) == ["results.json"]


def test_a_folder_that_is_gone_is_reported_by_the_file_s_name(tmp_path):
    path = tmp_path / "gone" / "results.json"

    with pytest.raises(StorageError, match=r"gone/results.json: No such file or directory\."):
        write_text(path, "new")


def test_a_value_that_is_no_json_leaves_the_old_content(tmp_path):
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})

    assert path.read_text() == '{\n  "a": 1\n}\n'


def test_only_failures_to_write_become_storage_errors():
    with pytest.raises(KeyError), storage_errors(Path("results.json")):
        raise KeyError("a")


def test_a_file_written_in_pieces_appears_when_all_are_there(tmp_path):
    path, part = tmp_path / "rows", tmp_path / "rows.part"

    with whole_file(path, part) as write:
        write(b"one ")
        write(memoryview(b"two"))
        during = (os.listdir(tmp_path), part.read_bytes())

    assert during == (["rows.part"], b"one two")
    assert path.read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["rows"]


def test_what_fails_between_two_pieces_passes_as_it_is_and_leaves_the_old_content(tmp_path):
    path = tmp_path / "rows"
    write_text(path, "old")

    def write_part_of_it() -> None:
        with whole_file(path) as write:
            write(b"new")
            raise PermissionError("an image may not be read")

    with pytest.raises(PermissionError, match="an image"):
        write_part_of_it()

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["rows"]
