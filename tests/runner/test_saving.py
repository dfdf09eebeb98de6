"""When a run's state is saved, asked of a run that stands still between two updates."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clrun.config.run_config import Cadence
from clrun.errors import Unsavable
from clrun.records.checkpoint import Checkpoints
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.runner.saving import Saver
from clrun.runner.state import RunState


class Done(BaseException):
    """Ends the run that was stood still in."""


@pytest.fixture
def standing(config_of, tmp_path) -> Callable[[Callable[[RunState], None]], None]:
    """Calls a function with the state of a run between two updates."""

    def stand(work: Callable[[RunState], None]) -> None:
        def pause(state: RunState) -> None:
            work(state)
            raise Done

        with pytest.raises(Done):
            run(prepare(config_of("strategy=naive")), tmp_path / "run", at_pause=pause)

    return stand


class Kept:
    """A saver with its folder and what it said."""

    def __init__(
        self, folder: Path, steps: int | None = None, seconds: float | None = None
    ) -> None:
        self.folder = folder
        self.firsts, self.reasons = 0, list[str]()
        self.saver = Saver(
            Checkpoints(folder, keep=100),
            Cadence(every_steps=steps, every_seconds=seconds, keep=100),
            {"config_hash": "abc"},
            has_saved=False,
            on_first=self._first,
            on_unsavable=self.reasons.append,
        )

    def _first(self) -> None:
        self.firsts += 1

    @property
    def count(self) -> int:
        return len(list(self.folder.glob("*.json")))


def test_after_so_many_updates(standing, tmp_path):
    kept, counts = Kept(tmp_path / "states", steps=3), []

    def work(state: RunState) -> None:
        for steps in range(9):
            state.cost.train_steps = steps
            kept.saver.pause(state)
            counts.append(kept.count)

    standing(work)

    assert counts == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert kept.firsts == 1


def test_as_often_as_takes_its_share_of_the_time_though_asked_more_often(standing, tmp_path):
    kept = Kept(tmp_path / "states", seconds=1e-9)

    def work(state: RunState) -> None:
        kept.saver.pause(state)
        kept.saver.pause(state)

    standing(work)

    assert kept.count == 1


def test_never_by_the_clock_or_by_updates_where_both_are_null(standing, tmp_path):
    kept = Kept(tmp_path / "states")

    standing(kept.saver.pause)

    assert kept.count == 0


def test_after_the_first_experience_and_then_where_it_is_affordable(standing, tmp_path):
    kept, counts = Kept(tmp_path / "states"), []

    def work(state: RunState) -> None:
        for train_seconds in (0.0, 0.0, 1e6):
            state.cost.wall_seconds["train"] = train_seconds
            kept.saver.after_experience(state)
            counts.append(kept.count)

    standing(work)

    assert counts == [1, 1, 2]


def test_a_state_comes_with_its_place_and_its_seconds_count_as_saving(standing, tmp_path):
    kept, seconds = Kept(tmp_path / "states"), []

    def work(state: RunState) -> None:
        assert kept.saver.save(state)
        seconds.append(state.cost.wall_seconds["checkpoint"])

    standing(work)

    saved = Checkpoints(tmp_path / "states").newest()
    assert saved is not None
    when = saved.facts.pop("saved")
    assert saved.facts == {
        **{"config_hash": "abc", "experience": 0, "epoch": 0, "iteration": 0, "train_steps": 0}
    }
    assert when.endswith("+00:00")
    assert seconds[0] > 0
    assert kept.saver.has_saved


@pytest.mark.parametrize("error", [NotImplementedError("no state_dict"), Unsavable("a lambda")])
def test_what_cannot_be_saved_is_tried_once(error, standing, tmp_path, caplog):
    kept, tried = Kept(tmp_path / "states", steps=1), []

    def work(state: RunState) -> None:
        def fail() -> dict[str, object]:
            tried.append(1)
            raise error

        state.strategy.state_dict = fail
        for _ in range(3):
            state.cost.train_steps += 1
            kept.saver.pause(state)
            kept.saver.after_experience(state)
        assert not kept.saver.save(state)

    standing(work)

    assert (len(tried), kept.count, kept.firsts) == (1, 0, 0)
    assert kept.reasons == [str(error)]
    assert not kept.saver.has_saved
    assert f"an interrupted run begins anew: {error}" in caplog.text


def test_the_lines_of_a_state_are_on_the_disk_before_it_is(standing, tmp_path, monkeypatch):
    kept, synced, fsync = Kept(tmp_path / "states"), list[tuple[str, int]](), os.fsync

    def noted(handle: int) -> None:
        is_log = os.path.samestat(os.fstat(handle), os.stat(tmp_path / "run" / "metrics.jsonl"))
        synced.append(("log" if is_log else "state", kept.count))
        fsync(handle)

    def work(state: RunState) -> None:
        monkeypatch.setattr(os, "fsync", noted)
        kept.saver.save(state)

    standing(work)

    assert synced[0] == ("log", 0)
    assert ("state", 1) in synced


def test_a_signal_whose_grace_is_over_waits_for_the_state(standing, tmp_path, monkeypatch):
    monkeypatch.setattr("clrun.runner.interrupt.GRACE_SECONDS", 0)
    kept, fsync, calls = Kept(tmp_path / "states"), os.fsync, list[int]()

    def slow(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)  # the run is looked at every 0.1 s
        fsync(handle)

    def work(state: RunState) -> None:
        monkeypatch.setattr(os, "fsync", slow)
        kept.saver.save(state)
        signal.setitimer(signal.ITIMER_REAL, 0)

    standing(work)

    assert kept.count == 1
