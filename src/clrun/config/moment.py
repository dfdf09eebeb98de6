"""Moments of a run at which its keys begin to act. What agrees until then can be trained once.

A component's `Config` declares them (`Keys.acts_from`), beside the code that has the reason. No
torch here: the worker of a sweep plans with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Moment(NamedTuple):
    """A place between two updates of a run. Earlier ones are smaller."""

    experience: int
    """counted from 0"""
    at_end: bool = False
    """after its last update, before what its end does (rows are stored, the head consolidated);
    else before its first update, where all that came before was scored and recorded"""

    @classmethod
    def of_plain(cls, plain: Sequence[Any]) -> Moment:
        """The moment that `list(moment)` is of."""
        experience, at_end = plain
        return cls(int(experience), bool(at_end))

    def __str__(self) -> str:
        place = "last update" if self.at_end else "start"
        return f"{place} of experience {self.experience}"


BEGINNING = Moment(0)
"""From here on everything acts that does not say otherwise."""
FIRST_LEARNT = Moment(0, at_end=True)
"""The first experience is learnt, and nothing of it is stored yet."""
SECOND = Moment(1)
"""The first experience is over, scored and recorded."""
