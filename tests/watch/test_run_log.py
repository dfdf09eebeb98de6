"""A log that is read on where it was read to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.watch.run_log import RunLog


def line(kind: str, experience: int | None, iteration: int, **values: Any) -> bytes:
    place = {"experience": experience, "epoch": values.pop("epoch", None), "iteration": iteration}
    return json.dumps({"kind": kind, **place, "seconds": iteration / 10, **values}).encode() + b"\n"


LINES = [
    line("eval", None, 0, accuracy=[0.1, 0.2, 0.3], patterns_seen=0),
    line("step", 0, 10, epoch=0, loss=0.5, accuracy=0.6, patterns=32),
    line("step", 0, 20, epoch=0, loss=0.4, accuracy=0.7, patterns=32),
    line("epoch", 0, 20, epoch=0, loss=0.45, accuracy=0.65),
    line("experience", 0, 20, train_rows=640),
    line("eval", 0, 20, seen=1, accuracy=[0.9, 0.2, 0.3], patterns_seen=640),
    line("memory", 0, 20, rows=10, bytes=100, per_class={"0": 10}),
    line("resource", 0, 20, rss_peak_bytes=5),
    line("step", 1, 30, epoch=0, loss=0.3, accuracy=0.8, patterns=32),
    line("step", 1, 50, epoch=0, loss=0.2, accuracy=0.9, patterns=32),
    line("eval", 1, 50, epoch=0, seen=2, curve=[0.8, 0.5]),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_it_says_where_the_run_is_and_what_it_found(path: Path) -> None:
    path.write_bytes(b"".join(LINES))
    log = RunLog(path)

    assert log.look()

    seen = log.seen
    assert seen.matrix == {0: [0.9, 0.2, 0.3]}
    assert (seen.step["loss"], seen.memory["rows"], seen.widest) == (0.2, 10, 3)
    assert seen.epoch_updates == 20
    assert seen.last["kind"] == "eval"
    assert seen.rows_an_update == 32


def test_throughput_is_of_updates_with_nothing_between(path: Path) -> None:
    path.write_bytes(b"".join(LINES[:-1]))
    log = RunLog(path)
    log.look()

    assert log.seen.images_per_second(None) == pytest.approx(20 * 32 / 2)  # 20 updates in 2 s


@given(cuts=st.lists(st.integers(0, len(b"".join(LINES))), max_size=6))
@settings(max_examples=40, deadline=None)
def test_however_a_log_grows_it_says_the_same_in_the_end(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = b"".join(LINES)
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    path.write_bytes(content)
    whole = RunLog(path)
    whole.look()
    path.write_bytes(b"")
    parts = RunLog(path)

    for end in [*sorted(cuts), len(content)]:
        path.write_bytes(content[:end])
        parts.look()

    assert parts.seen == whole.seen


def test_nothing_new_is_nothing(path: Path) -> None:
    path.write_bytes(LINES[0])
    log = RunLog(path)

    assert [log.look(), log.look()] == [True, False]


def test_a_log_that_was_cut_at_a_resume_is_read_again(path: Path) -> None:
    path.write_bytes(b"".join(LINES))
    log = RunLog(path)
    log.look()

    path.write_bytes(b"".join(LINES[:5]))
    log.look()

    assert log.seen.matrix == {}


@pytest.mark.parametrize("damaged", [b"{\n", b"[]\n", b'{"kind": "eval"}\n', b"\xff\n", b"\n"])
def test_a_damaged_line_is_passed_over(path: Path, damaged: bytes) -> None:
    path.write_bytes(damaged.join(LINES))
    log = RunLog(path)

    log.look()

    assert log.seen.matrix == {0: [0.9, 0.2, 0.3]}


def test_of_very_many_updates_the_last_ones_are_read(path: Path) -> None:
    steps = [line("step", 0, number, epoch=0, loss=1.0, patterns=1) for number in range(30_000)]
    path.write_bytes(b"".join([*LINES[:1], *steps]))
    log = RunLog(path)

    log.look()

    assert log.seen.step["iteration"] == 29_999


def test_no_log_yet_is_nothing(path: Path) -> None:
    assert not RunLog(path).look()
