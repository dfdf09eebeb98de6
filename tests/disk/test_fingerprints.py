from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from clrun.disk.fingerprints import (
    AT_ONCE,
    PIECE,
    content_of,
    contents_of,
    fingerprint,
    joined_contents,
)


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


@pytest.mark.parametrize("change", [longer, touched, taken_away, renamed, list.reverse])
def test_the_usual_one_changes_with_them_too(change, files):
    before = fingerprint(files).usual

    change(files)

    assert fingerprint(files).usual != before


def written_over(file: Path) -> None:
    file.write_bytes(b"two")


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"two")
    other.replace(file)


def copied(file: Path) -> None:
    shutil.copy2(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


@pytest.mark.parametrize("change", [written_over, replaced, copied, lambda file: file.chmod(0)])
def test_the_exact_one_shows_what_was_put_back(change, files):
    before, status = fingerprint(files), files[1].stat()

    change(files[1])
    os.utime(files[1], ns=(status.st_atime_ns, status.st_mtime_ns))

    after = fingerprint(files)
    assert after.usual == before.usual
    assert after.exact != before.exact


def test_reading_files_changes_nothing(files):
    before = fingerprint(files)

    contents_of(files, 2)

    assert fingerprint([str(file) for file in files]) == before


def test_contents_tell_files_by_what_they_hold_and_their_order(files):
    files[0].write_bytes(b"two" * AT_ONCE)
    before = contents_of(files, 2)

    assert contents_of([str(file) for file in files], 1) == before
    assert joined_contents(map(content_of, files)) == before
    assert contents_of(files[::-1], 2) != before
    files[0].write_bytes(b"two" * AT_ONCE + b"!")
    assert contents_of(files, 2) != before


def test_a_missing_file_is_an_error(files):
    with pytest.raises(FileNotFoundError):
        fingerprint([*files, Path("missing")])


class Slow(os.PathLike):
    """A file on a slow disk."""

    opened = 0

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        Slow.opened += 1
        time.sleep(0.01)
        return str(self.path)


def test_after_a_failure_nobody_waits_for_what_is_being_read(files):
    others = [Slow(files[0])] * (10 * PIECE)

    with pytest.raises(FileNotFoundError):
        contents_of([Path("missing"), *files * (PIECE // 3), *others], 2)

    assert Slow.opened < PIECE // 2
