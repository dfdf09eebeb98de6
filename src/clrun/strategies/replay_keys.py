"""The keys of every strategy that mixes rows of a memory into its minibatches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from clrun.config.bounds import Count, Rows
from clrun.config.keys import Known
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.memory.composition import Composition
from clrun.strategies.descent_keys import DescentKeys


@dataclass(frozen=True, kw_only=True)
class ReplayKeys(DescentKeys):
    """What `Rehearsal` reads, beside the keys of descent. A `Config` inherits it: no torch here."""

    mem_size: Count
    mix: Literal["split", "add"]
    memory_mb_size: Rows | None
    balance: Literal["experience", "class", "none"]
    epoch_length: Literal["current", "longest"]
    memory_update: Literal["experience", "minibatch"]

    def __post_init__(self) -> None:
        super().__post_init__()
        Composition.of(self)
        if self.mix == "split" and self.train_mb_size < 2:
            raise ValueError(
                f"train_mb_size={self.train_mb_size}: cannot hold a new and a replayed row. "
                "Use at least 2, or mix=add."
            )
        if self.memory_update == "minibatch" and self.epoch_length == "longest":
            raise ValueError(
                "epoch_length=longest: the memory has no length of its own with "
                "strategy.memory_update=minibatch. Use epoch_length=current."
            )

    def rehearsal_acts_from(self) -> Mapping[str, Moment]:
        """`acts_from` where a `Rehearsal` says what is remembered and replayed.

        Rows that are offered as they pass compete from the first update on.
        """
        if self.memory_update == "minibatch":
            return {"optimizer_state": SECOND}
        stored = ("mem_size", "storage_policy", "selection")
        replayed = ("mix", "memory_mb_size", "balance", "epoch_length")  # beside an empty memory
        return {
            **self.descent_acts_from(),
            **dict.fromkeys(stored, FIRST_LEARNT),
            **dict.fromkeys(replayed, SECOND),
        }

    def conflicts(self, known: Known) -> Iterator[str]:
        """Groups that share a minibatch on equal terms must fit into one."""
        yield from super().conflicts(known)
        composition = Composition.of(self)
        if self.memory_update == "minibatch" or not composition.shared_by_group:
            return
        if known.experiences == 1:
            return  # nothing is remembered beside it
        noun, groups = "experiences", known.experiences
        if self.balance == "class":
            noun, groups = "classes", known.classes
        elif known.is_online:
            yield (
                "strategy.balance=experience: with benchmark.scenario=online experiences are too "
                "many to share a minibatch. Use strategy.balance=none, or "
                "strategy.memory_update=minibatch."
            )
            return
        problem = None if groups is None else composition.too_small_for(groups, noun)
        if problem is not None:
            yield problem
