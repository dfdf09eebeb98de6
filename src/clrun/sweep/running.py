"""A unit that a worker has in a process: its attempts, and how it is made to end. No torch here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from clrun.sweep.queue import Taken
from clrun.sweep.unit import Unit

SAVE_SECONDS = 60.0
"""How long a unit that was asked to end may take to save its state: less than Slurm's usual warning
(`launcher.signal_delay_s`), and far more than saving takes. One that does not hear would keep its
worker for ever; its last saved state stands."""

END_SECONDS = 5.0
"""How long its process may take to be gone once it is killed."""


class Act(Enum):
    """What is done to a unit's process so that it ends."""

    ASK = "SIGTERM"
    KILL = "SIGKILL"
    KILL_HOLDER = "SIGKILL of the process that started it"


@dataclass
class Running:
    """A unit in a process."""

    taken: Taken
    starts: int
    """how many processes were started for it before, as the logs of workers say"""
    slot: int = -1
    """its place among those that run at the same time; -1: it has none"""
    attempt: int = 0
    """of this worker, counted from 1"""
    begun: float = field(default_factory=time.monotonic)
    is_late: bool = False
    """its time was over before it was"""
    is_killed: bool = False
    """it did not end when it was asked"""
    _before: float = 0.0
    """seconds of earlier attempts of this worker"""
    _acts: dict[Act, float] = field(default_factory=dict)
    """when what is done next"""

    @property
    def unit(self) -> Unit:
        return self.taken.unit

    @property
    def deaths(self) -> int:
        """How many workers in a row have died with it: they did not come to say what became of it,
        so that its outcome knows of fewer attempts than their logs."""
        return max(0, self.starts - self._said)

    @property
    def attempts(self) -> int:
        """Processes that were started for it, over all workers."""
        return max(self.starts, self._said) + self.attempt

    @property
    def seconds(self) -> float:
        """What all of them took, as far as it was written down."""
        before = 0.0 if self.taken.before is None else self.taken.before.seconds
        return before + self._before + time.monotonic() - self.begun

    @property
    def next_act(self) -> float | None:
        """The moment at which something is to be done; None where there is none."""
        return next(iter(self._acts.values()), None)

    @property
    def _said(self) -> int:
        return 0 if self.taken.before is None else self.taken.before.attempts

    def begin(self, time_limit: float | None) -> None:
        """An attempt begins, and may take so many seconds."""
        if self.attempt:
            self._before += time.monotonic() - self.begun
        self.attempt += 1
        self.begun = time.monotonic()
        asked = None if time_limit is None else self.begun + time_limit
        self._acts = {} if asked is None else {Act.ASK: asked, **_killing(asked)}

    def asked_to_end(self) -> None:
        """A signal was handed on to it."""
        if not self.is_late:  # else it has been asked
            self._acts = dict(_killing(time.monotonic()))

    def due(self) -> Act | None:
        """What is to be done to it now, once."""
        act, moment = next(iter(self._acts.items()), (None, 0.0))
        if act is None or moment > time.monotonic():
            return None
        del self._acts[act]
        self.is_late = self.is_late or act is Act.ASK
        self.is_killed = self.is_killed or act is not Act.ASK
        return act


def _killing(asked: float) -> Mapping[Act, float]:
    kill = asked + SAVE_SECONDS
    return {Act.KILL: kill, Act.KILL_HOLDER: kill + END_SECONDS}
