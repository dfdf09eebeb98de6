from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic_sweep import begin, complete, fail, grid, interrupt, log, make_sweep

from clrun.sweep.events import Ended, Noted, Retried, Started
from clrun.sweep.live import LiveSweep
from clrun.sweep.manifest import Job
from clrun.sweep.outcomes import JobOutcome, read_outcome, write_outcome


def console(width: int = 100, *, is_terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=24,
        force_terminal=is_terminal,
        color_system=None,
        _environ={},
    )


def lines(shown: Console) -> list[str]:
    return str(shown.file.getvalue()).splitlines()  # type: ignore[attr-defined]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


def event(path: Path, job: Job) -> dict[str, Any]:
    return {"name": job.folder, "number": job.number, "folder": path / job.folder}


def run(live: LiveSweep, path: Path, job: Job, end: Callable[[], None]) -> None:
    live.on_event(Started(**event(path, job)))
    end()
    outcome = read_outcome(path, job.number)
    assert outcome is not None
    live.on_event(Ended(**event(path, job), outcome=outcome))


def test_when_piped_there_is_a_line_for_each_job_that_ended(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(2, 2)), console()

    with LiveSweep(sweep, shown, 1) as live:
        run(live, sweep, jobs[0], lambda: complete(sweep, jobs[0], 0.5))
        live.on_event(Noted(**event(sweep, jobs[1]), text="the data have a gap"))
        run(live, sweep, jobs[1], lambda: fail(sweep, jobs[1], "the loss is nan."))
        run(live, sweep, jobs[2], lambda: interrupt(sweep, jobs[2]))

    assert lines(shown) == [
        f"Results: {sweep}",
        "1 of 4, 0:09 left  accuracy 0.5000, 3.0 s  strategy.lr=0.1 seed=0",
        "clrun: note: the data have a gap",
        "2 of 4, 0:06 left  failed  strategy.lr=0.1 seed=1: the loss is nan.",
        "2 of 4, 0:06 left  interrupted  strategy.lr=0.2 seed=0",
    ]


def test_where_all_is_stands_there_before_the_first_job_ends(sweep: Path) -> None:
    make_sweep(sweep, grid(1, 1))
    shown = console(20)

    with LiveSweep(sweep, shown, 1):
        assert lines(shown) == [f"Results: {sweep}"]


def test_what_was_done_before_and_what_others_do_counts(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(4, 1)), console()
    complete(sweep, jobs[0], 0.5)

    with LiveSweep(sweep, shown, 1) as live:
        complete(sweep, jobs[3], 0.5)  # by another worker
        run(live, sweep, jobs[1], lambda: complete(sweep, jobs[1], 0.5))

    assert lines(shown) == [
        f"4 jobs: 1 completed before. Results: {sweep}",
        "3 of 4, 0:03 left  accuracy 0.5000, 3.0 s  strategy.lr=0.2 seed=0",
    ]


def test_a_job_that_failed_is_not_over_when_it_is_tried_again(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(2, 1)), console()
    fail(sweep, jobs[0], "why")
    complete(sweep, jobs[1], 0.5)

    with LiveSweep(sweep, shown, 1, retry_failed=True) as live:
        run(live, sweep, jobs[0], lambda: fail(sweep, jobs[0], "why else"))

    assert lines(shown) == [
        f"2 jobs: 1 completed before. Results: {sweep}",
        "2 of 2  failed  strategy.lr=0.1 seed=0: why else",
    ]


def test_a_death_and_a_failed_shared_part_are_said(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(1, 1)), console()
    shared = {
        "name": "shared beginning 0123abcd",
        "number": None,
        "folder": sweep / ".sweep/shared/0123abcd",
    }

    with LiveSweep(sweep, shown, 1) as live:
        live.on_event(Started(**shared))
        outcome = JobOutcome(status="failed", reason="the loss is nan.")
        live.on_event(Ended(**shared, outcome=outcome))
        live.on_event(Started(**event(sweep, jobs[0])))
        live.on_event(Retried(**event(sweep, jobs[0]), reason="was killed by SIGKILL", attempt=1))

    assert lines(shown) == [
        f"Results: {sweep}",
        "failed  shared beginning 0123abcd: the loss is nan.",
        "goes on  lr=0.1 seed=0: was killed by SIGKILL (attempt 1)",
    ]


def frames(live: LiveSweep, width: int = 100) -> list[str]:
    """What the table shows now."""
    shown = console(width, is_terminal=True)
    shown.print(live._table())
    return [" ".join(line.split()) for line in lines(shown)]


def test_a_terminal_shows_where_each_running_job_is(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(2, 2)), console()

    with LiveSweep(sweep, shown, 2) as live:
        for job in jobs[:2]:
            live.on_event(Started(**event(sweep, job)))
        assert frames(live)[1:] == [
            "lr=0.1 seed=0 starting - - -",
            "lr=0.1 seed=1 starting - - -",
            "0 of 4 done, 2 running",
        ]
        for number, job in enumerate(jobs[:2]):
            begin(sweep, job)
            log(sweep / job.folder, experiences=number + 1)
        first, second, total = frames(live)[1:]

    assert first.startswith("lr=0.1 seed=0 running 1/5 0.500 ")
    assert second.startswith("lr=0.1 seed=1 running 2/5 0.600 ")
    assert total.startswith("0 of 4 done, 2 running, ")
    assert total.endswith(" left")


def test_a_shared_part_and_a_later_attempt_are_shown_as_such(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(1, 1)), console()
    shared = sweep / ".sweep" / "shared" / "0123abcd"
    shared.mkdir(parents=True)

    with LiveSweep(sweep, shown, 2) as live:
        live.on_event(Started(name="shared beginning 0123abcd", number=None, folder=shared))
        log(shared, experiences=1)
        live.on_event(Started(**event(sweep, jobs[0]), attempt=2))
        begin(sweep, jobs[0])
        log(sweep / jobs[0].folder, experiences=1)
        part, again = frames(live)[1:3]

    assert part == "shared beginning 0123abcd shared 1/5 0.500 -"
    assert again.startswith("lr=0.1 seed=0 attempt 2 1/5 0.500 ")


def test_what_a_job_has_from_a_shared_part_is_not_taken_for_its_pace(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(1, 2)), console()

    with LiveSweep(sweep, shown, 1) as live:
        live.on_event(Started(**event(sweep, jobs[0])))
        begin(sweep, jobs[0])
        path = log(sweep / jobs[0].folder, experiences=4)
        marked = path.read_text().replace("}\n", ', "shared": true}\n')
        path.write_text(marked)
        [row] = frames(live)[1:2]

    assert row == "lr=0.1 seed=0 running 4/5 0.800 -"


def test_the_table_is_gone_at_the_end_and_the_lines_stay(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(1, 1)), console(60, is_terminal=True)

    with LiveSweep(sweep, shown, 1) as live:
        run(live, sweep, jobs[0], lambda: complete(sweep, jobs[0], 0.5))

    text = "\n".join(lines(shown))
    assert "1 of 1  accuracy 0.5000, 3.0 s  lr=0.1 seed=0" in text
    assert text.rstrip().endswith("\x1b[2K")  # the last lines are erased


def test_showing_and_working_do_not_wait_for_each_other(sweep: Path) -> None:
    jobs, shown = make_sweep(sweep, grid(10, 20)), console(80, is_terminal=True)
    began = time.monotonic()

    with LiveSweep(sweep, shown, 4) as live:
        live._live.refresh_per_second = 1000
        for job in jobs:
            live.on_event(Started(**event(sweep, job)))
            live._live.refresh()
            write_outcome(sweep, job.number, JobOutcome(status="failed", reason="why"))
            outcome = JobOutcome(status="failed", reason="why")
            live.on_event(Ended(**event(sweep, job), outcome=outcome))

    assert time.monotonic() - began < 60
    assert "200 of 200" in "\n".join(lines(shown))
