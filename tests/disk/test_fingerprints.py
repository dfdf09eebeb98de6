from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from clrun.disk.fingerprints import fingerprint


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"one")
    return paths


def longer(files: list[Path]) -> None:
    files[0].write_bytes(b"other")


def touched(files: list[Path]) -> None:
    now = time.time_ns()
    os.utime(files[0], ns=(now, files[0].stat().st_mtime_ns + 1))


def taken_away(files: list[Path]) -> None:
    files.pop()


def renamed(files: list[Path]) -> None:
    files[2] = files[2].rename(files[2].with_name("d"))


@pytest.mark.parametrize("change", [longer, touched, taken_away, renamed, list.reverse])
def test_every_change_of_the_files_is_another_fingerprint(change, files):
    before = fingerprint(files)

    change(files)

    assert fingerprint(files) != before


def test_files_that_may_not_be_read_have_a_fingerprint_too(files):
    before = fingerprint(files)

    for file in files:
        file.chmod(0)

    assert fingerprint([str(file) for file in files]) == before


def test_a_missing_file_is_an_error(files):
    with pytest.raises(FileNotFoundError):
        fingerprint([*files, Path("missing")])
