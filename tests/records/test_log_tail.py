from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_sweep import log

from clrun.records.log_tail import FIRST_LOOKS, LogTail


def add(path: Path, **values: object) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"experience": None, "epoch": None, "seconds": 9.5, **values}) + "\n")


def test_the_end_of_a_log_says_where_the_run_is(tmp_path: Path) -> None:
    path = log(tmp_path, experiences=2)
    add(path, kind="step", experience=2, epoch=1)

    end = LogTail(path).read()

    assert end is not None
    assert (end.experience, end.epoch, end.experiences) == (2, 1, 5)
    assert end.accuracy == pytest.approx(0.6)
    assert end.seconds == 9.5
    assert end.written == path.stat().st_mtime


def test_accuracy_is_the_mean_over_the_experiences_so_far(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    add(path, kind="eval", experience=None, accuracy=[0.9, 0.9, 0.9])
    assert LogTail(path).read().accuracy is None

    add(path, kind="eval", experience=1, accuracy=[0.5, None, 0.0])

    assert LogTail(path).read().accuracy == 0.5


def test_what_was_added_is_read_and_nothing_else(tmp_path: Path) -> None:
    path = log(tmp_path, experiences=1)
    tail = LogTail(path)
    tail.read()
    content = bytearray(path.read_bytes())
    content[:-1] = b" " * (len(content) - 1)  # what was read is not looked at again
    path.write_bytes(content)
    add(path, kind="epoch", experience=3, epoch=0)

    end = tail.read()

    assert (end.experience, end.accuracy) == (3, 0.5)


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path = log(tmp_path, experiences=1)
    tail = LogTail(path)
    with path.open("a") as file:
        file.write('{"kind": "step", "experience": 4, "epo')
        file.flush()
        assert tail.read().experience == 0

        file.write('ch": 0, "seconds": 3.0}\n')

    assert tail.read().experience == 4


def test_a_log_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    path = log(tmp_path, experiences=3)
    tail = LogTail(path)
    tail.read()

    log(tmp_path, experiences=1)

    assert tail.read().experience == 0


def test_of_a_long_log_a_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    add(path, kind="eval", experience=0, accuracy=[0.25])
    with path.open("a") as file:
        line = json.dumps({"kind": "step", "experience": 1, "epoch": 0, "seconds": 1.0}) + "\n"
        file.write(line * (3 * FIRST_LOOKS[1] // len(line)))

    assert LogTail(path).read()[:3] == (1, 0, None)  # the evaluation is too far away

    add(path, kind="eval", experience=1, accuracy=[0.5, 0.5])
    with path.open("a") as file:
        file.write(line * (2 * FIRST_LOOKS[0] // len(line)))
    assert LogTail(path).read()[:3] == (1, 0, 0.5)


def test_damage_is_passed_over(tmp_path: Path) -> None:
    path = log(tmp_path, experiences=2)
    path.write_bytes(path.read_bytes() + b"\xff\x00{\n[1]\n{}\n")

    assert LogTail(path).read().experience == 1


def test_no_log_says_nothing(tmp_path: Path) -> None:
    assert LogTail(tmp_path / "metrics.jsonl").read() is None
