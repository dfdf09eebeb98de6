"""When the state of a run is saved: often enough to lose little, seldom enough to cost little."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from clrun.config.run_config import Cadence
from clrun.errors import Unsavable
from clrun.profiling.activity import doing
from clrun.records.checkpoint import Checkpoints
from clrun.records.run_record import utc_now
from clrun.runner.interrupt import unhurried
from clrun.runner.state import RunState

SHARE = 0.03
"""Saving takes at most this share of a run's time, apart from what `every_steps` asks for."""

log, note = logging.getLogger("clrun"), logging.getLogger("clrun.note")


class Saver:
    """Saves a run's state after so many updates, so many seconds, and at the end of experiences.

    The first state is saved at the end of the first experience at the latest. Later ones follow
    the clock and the experiences only while saving takes less than `SHARE` of the run's time: of
    2,000 experiences that take milliseconds each, not every one is worth a write to the disk.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        cadence: Cadence,
        facts: dict[str, str],
        *,
        has_saved: bool,
        on_first: Callable[[], None],
        on_unsavable: Callable[[str], None],
    ) -> None:
        """`facts` are kept beside each state; there are some already if `has_saved`. `on_first` is
        called once one is saved, `on_unsavable` where none can be, with the reason: the run goes on
        without."""
        self._checkpoints, self._cadence, self._facts = checkpoints, cadence, facts
        self._on_first, self._on_unsavable = on_first, on_unsavable
        self.has_saved, self._is_able = has_saved, True
        self._steps: int | None = None  # updates of the run when a state was last saved
        self._ended, self._took = time.monotonic(), 0.0  # when that was over, and how long it took

    def pause(self, state: RunState) -> None:
        """Save the state, if it is time to, between two updates."""
        if self._is_able and self._is_due(state):
            self.save(state)

    def after_experience(self, state: RunState) -> None:
        """Save the state that an experience left, if that is affordable, as the first one is."""
        spent = state.cost.wall_seconds["checkpoint"]
        is_affordable = spent + self._took <= SHARE * sum(state.cost.wall_seconds.values())
        if self._is_able and is_affordable:
            self.save(state)

    def save(self, state: RunState) -> bool:
        """Save the state now; whether it could be.

        Raises:
            NonFiniteLoss: the state is not worth it.
            StorageError: the disk is full, read-only or broken; the states before are intact.
        """
        if not self._is_able:
            return False
        begin = time.monotonic()
        with state.cost.phase("checkpoint"), doing("saving", stoppable=False), unhurried():
            try:
                plain = state.plain()
                state.recorder.raw_log.sync()  # a state is never of lines that are lost
                self._checkpoints.save(plain, self._facts | _where(state))
            except (NotImplementedError, Unsavable) as error:
                self._give_up(str(error))
                return False
            if not self.has_saved:
                self._on_first()
        self.has_saved, self._steps = True, state.cost.train_steps
        self._ended = time.monotonic()
        self._took = self._ended - begin
        return True

    def _is_due(self, state: RunState) -> bool:
        steps, seconds = self._cadence.every_steps, self._cadence.every_seconds
        if self._steps is None:
            self._steps = state.cost.train_steps
        if steps is not None and state.cost.train_steps - self._steps >= steps:
            return True
        if seconds is None:
            return False
        return time.monotonic() - self._ended >= max(seconds, self._took / SHARE)

    def _give_up(self, reason: str) -> None:
        self._is_able = False
        self._on_unsavable(reason)
        note.warning("no states are saved, and an interrupted run begins anew: %s", reason)


def _where(state: RunState) -> dict[str, str | int]:
    """How far the run was, for whoever looks at a record."""
    return {
        "experience": state.experience,
        "epoch": state.start.epoch,
        "iteration": state.start.iteration,
        "train_steps": state.cost.train_steps,
        "saved": utc_now(),
    }
