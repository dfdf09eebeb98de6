"""The log of a worker, which the next one reads."""

from __future__ import annotations

from pathlib import Path

from clrun.sweep.worker_log import WorkerLog, starts


def test_starts_are_counted_over_all_workers_whatever_else_is_there(tmp_path: Path):
    log = WorkerLog(tmp_path)
    for event, unit in [("started", "a"), ("ended", "a"), ("started", "a"), ("started", "b")]:
        log.write(event, unit, attempt=1)
    log.close()
    folder = tmp_path / ".sweep" / "log"
    lines = (
        b'{"event": "started", "unit": "b"}\nnot JSON\n[]\n{"event": "started"}\n"a"\n'
        b'\xff\xfe\n{"event": "started", "unit": "a"}\n{"event": "star'  # killed in the middle
    )
    (folder / "other-1.jsonl").write_bytes(lines)
    (folder / "folder.jsonl").mkdir()

    assert starts(tmp_path) == {"a": 3, "b": 2}


def test_where_no_worker_was_nothing_was_started_and_nothing_is_made(tmp_path: Path):
    assert starts(tmp_path) == {}
    assert not list(tmp_path.iterdir())
