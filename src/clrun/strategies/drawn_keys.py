"""The keys of strategies that draw rows from a memory for purposes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from clrun.config.bounds import Count
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.strategies.descent_keys import DescentKeys


@dataclass(frozen=True, kw_only=True)
class DrawnKeys(DescentKeys):
    """What `DrawnMemory` reads beside the keys of descent; a `Config` inherits it: no torch here"""

    mem_size: Count
    memory_update: Literal["experience", "minibatch"]

    fits_bic: ClassVar[bool] = True

    def drawn_acts_from(self, *drawn: str) -> dict[str, Moment]:
        """`acts_from` where the keys `drawn` matter as soon as there are rows to draw.

        Rows that are offered as they pass compete from the first update on.
        """
        if self.memory_update == "minibatch":
            return {"optimizer_state": SECOND}
        stored = ("mem_size", "storage_policy", "selection")
        return {
            **self.descent_acts_from(),
            **dict.fromkeys(stored, FIRST_LEARNT),
            **dict.fromkeys(drawn, SECOND),
        }
