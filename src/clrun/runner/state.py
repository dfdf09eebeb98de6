"""The state of a run between two updates, as an object and as plain tensors and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from clrun.runner.cost import Cost
from clrun.runner.recorder import Recorder
from clrun.runner.scored import Scored
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Strategy


@dataclass(kw_only=True)
class RunState:
    """All that the rest of a run depends on: its updates, its records and its results.

    `plain()` saves it and `load` goes on from there, in this process or in another one that has
    built the same strategy; the rest of the run is the same to the last bit.
    """

    strategy: Strategy
    cost: Cost
    recorder: Recorder
    scored: Scored = field(default_factory=Scored)
    experience: int = 0
    """the one in progress or, between two, the next one"""
    start: Position = START
    """its next update"""
    made: int = 0
    """its updates so far"""
    owed: int | None = None
    """the epoch after which the run is still to be scored, before that update"""
    is_learnt: bool = False
    """the experience was learnt to its end, and is still to be scored"""
    is_whole: bool = False
    """nothing is half done, so that the state can be saved"""

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What runs inside changes nothing; what ends it, too early perhaps, may save the state."""
        self.is_whole = True
        yield
        self.is_whole = False

    def begin(self, experience: int) -> None:
        """An experience is learnt from here on, or continued."""
        self.experience = experience
        if self.start == START and not self.is_learnt:
            self.cost.begin_experience()

    def passed(self, step: Step) -> None:
        """An update was made and recorded."""
        self.start = step.following
        self.made += 1

    def learnt(self) -> None:
        """The experience was learnt to its end, and that was recorded."""
        self.is_learnt = True

    def finished(self, experience: int) -> None:
        """An experience was learnt, scored and recorded."""
        self.experience, self.start, self.is_learnt = experience + 1, START, False
        self.made = 0

    def plain(self) -> dict[str, Any]:
        """The state in dicts and lists of tensors, numbers and texts. Synchronises.

        The tensors are those of the run: write or copy them before the next update.

        Raises:
            NonFiniteLoss: the loss became NaN or infinite; such a state is not worth saving.
        """
        return {
            "experience": self.experience,
            "start": list(self.start),
            "made": self.made,
            "owed": self.owed,
            "is_learnt": self.is_learnt,
            "cost": self.cost.state_dict(),
            "recorder": self.recorder.state_dict(),
            "scored": self.scored.state_dict(),
            "strategy": self.strategy.state_dict(),
        }

    def load(self, plain: dict[str, Any]) -> None:
        """Go on from what `plain` gave; the raw log is cut where it ended then."""
        self.strategy.load_state_dict(plain["strategy"])  # first: the log is cut for good
        self.experience, self.start = plain["experience"], Position(*plain["start"])
        self.made = plain.get("made", 0)  # a state of before the key has epochs to go by
        self.owed, self.is_learnt = plain["owed"], plain["is_learnt"]
        self.cost.load_state_dict(plain["cost"])
        self.recorder.load_state_dict(plain["recorder"])
        self.scored.load_state_dict(plain["scored"])
