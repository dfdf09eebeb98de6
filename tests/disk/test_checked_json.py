import json
import os
from pathlib import Path

import pytest

from clrun.disk.checked_json import read_checked_json, write_checked_json

VALUE = {"mean": [0.1307, 1e-300], "notes": ["ä"], "0": None}


def test_what_was_written_is_read(tmp_path):
    write_checked_json(tmp_path / "x.json", VALUE)

    assert read_checked_json(tmp_path / "x.json") == VALUE


def test_no_flipped_bit_is_believed(tmp_path):
    write_checked_json(tmp_path / "x.json", VALUE)
    whole = (tmp_path / "x.json").read_bytes()

    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        (tmp_path / "x.json").write_bytes(flipped)

        assert read_checked_json(tmp_path / "x.json") in (None, VALUE)


def nothing(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def without_checksum(path: Path) -> None:
    path.write_text(json.dumps(VALUE))


def a_list(path: Path) -> None:
    path.write_text("[]")


@pytest.mark.parametrize("make", [nothing, folder, os.mkfifo, deep, without_checksum, a_list])
def test_what_is_not_ours_is_nothing(make, tmp_path):
    make(tmp_path / "x.json")

    assert read_checked_json(tmp_path / "x.json") is None
