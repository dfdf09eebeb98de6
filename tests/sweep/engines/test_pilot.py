"""A task of an array, with a stand-in for Python that is its worker."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import until

from clrun.sweep.engines import pilot, ray
from clrun.sweep.engines.bound import worker_words
from clrun.sweep.engines.pilot import MOST_DEATHS, Pilot

Stand = Callable[[str], None]


@pytest.fixture
def stand_in(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Lets a script of the shell be what runs instead of Python; its starts are in `starts`."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "77")

    def write(script: str) -> None:
        Path("python").write_text(f'#!/bin/sh\necho "$*" >> starts\n{script}\n')
        Path("python").chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(workplace / "python"))

    return write


def starts() -> list[str]:
    return Path("starts").read_text().splitlines() if Path("starts").exists() else []


def ended() -> object:
    return json.loads(Path(".sweep/slurm/77_ended.json").read_text())


def test_a_worker_that_is_done_ends_the_task(stand_in: Stand):
    stand_in("exit 0")

    Pilot(".", 3, force=False)()

    assert [line.split("-m clrun ")[1] for line in starts()] == ["worker . --slots 3"]
    assert ended() == {"code": 0}


def test_the_code_of_a_worker_is_the_task_s(stand_in: Stand):
    stand_in("exit 3")

    with pytest.raises(SystemExit) as left:
        Pilot(".", 1, force=False)()

    assert (left.value.code, len(starts()), ended()) == (3, 1, {"code": 3})


def test_a_worker_that_is_killed_is_started_again_and_not_for_ever(stand_in: Stand):
    stand_in(f"[ $(wc -l < starts) -gt {MOST_DEATHS} ] || kill -9 $$")
    Pilot(".", 1, force=False)()
    assert (len(starts()), ended()) == (MOST_DEATHS + 1, {"code": 0})

    Path("starts").unlink()
    stand_in("kill -9 $$")
    with pytest.raises(SystemExit) as left:
        Pilot(".", 1, force=False)()

    assert (left.value.code, len(starts())) == (137, MOST_DEATHS + 1)


def test_a_task_that_slurm_takes_away_lets_its_worker_save_and_is_queued_again(
    stand_in: Stand, monkeypatch: pytest.MonkeyPatch
):
    """Its worker hears of it once; Slurm, which gives no kill here, finds the task still there."""
    monkeypatch.setattr(pilot, "GRACE_SECONDS", 0.5)
    stand_in(
        "[ $(wc -l < starts) -gt 1 ] && exit 0\n"
        "trap 'echo TERM >> heard' TERM\ntouch begun\n"
        "until [ -e saved ]; do sleep 0.05; done; exit 143"
    )
    before = signal.getsignal(signal.SIGTERM)

    def take_away() -> None:
        for sign in ("begun", "heard"):
            until(lambda sign=sign: Path(sign).exists())
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)  # a second one has the time to be heard
        Path("saved").touch()

    taker = threading.Thread(target=take_away, daemon=True)
    taker.start()
    Pilot(".", 1, force=False)()
    taker.join()

    assert Path("heard").read_text().split() == ["TERM"]
    assert len(starts()) == 2
    assert ended() == {"code": 0}
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("force", [False, True])
def test_what_is_queued_again_is_the_same_task(force: bool, stand_in: Stand):
    again = Pilot("a b", 3, force=force).checkpoint().function

    assert (again.sweep, again.jobs, again.force) == ("a b", 3, force)


@pytest.mark.parametrize("force", [False, True])
def test_workers_of_every_engine_are_forced_where_the_sweep_is(force: bool, stand_in: Stand):
    stand_in("exit 4")

    with pytest.raises(SystemExit):
        Pilot(".", 2, force=force)()
    code = ray.work(".", 2, force=force)

    assert code == 4
    assert [line.endswith("--slots 2 --force") for line in starts()] == [force] * 2
    assert ("--force" in worker_words("s", 1, force=force)) is force


def test_a_node_without_the_sweep_s_folder_says_so(workplace: Path):
    with pytest.raises(FileNotFoundError, match="has no nowhere: all nodes must share it"):
        ray.work("nowhere", 1, force=False)
