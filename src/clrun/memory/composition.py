"""What a minibatch of current and memory rows is made of: sizes only, no rows, no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from clrun.errors import ConfigError


@dataclass(frozen=True)
class Composition:
    """How current and memory rows share a minibatch, and how long an epoch is.

    `mix`: split shares `train_mb_size` rows, add puts memory rows on top of as many current ones.
    `memory_mb_size`: memory rows in a minibatch; None leaves it to `balance` (split), or takes
    `train_mb_size` (add).
    `balance`: what has equal shares; none knows current and memory only.
    `epoch_length`: current sees each current row once, longest lasts until the largest group has
    been seen.
    `updates_per_minibatch`: so often in a row the same current rows come, with other memory rows.
    `drop_last`: a short last minibatch is left out, unless it is the only one.
    """

    train_mb_size: int
    memory_mb_size: int | None
    mix: Literal["split", "add"]
    balance: Literal["experience", "class", "none"]
    epoch_length: Literal["current", "longest"]
    updates_per_minibatch: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.mix == "add":
            return
        size = self.memory_mb_size
        if size is not None and size >= self.train_mb_size:
            raise ValueError(
                f"memory_mb_size={size}: leaves no row of strategy.train_mb_size="
                f"{self.train_mb_size} for the current experience. Use fewer, or mix=add."
            )

    @classmethod
    def of(cls, keys: Any) -> Composition:
        """The composition that a strategy's keys describe; its `Config` checks them with this.

        Raises:
            ValueError: no row of a minibatch is left for the current experience.
        """
        return cls(**{field.name: getattr(keys, field.name) for field in fields(cls)})

    @classmethod
    def proportional(cls, current: int, held: int, minibatch: int, **others: Any) -> Composition:
        """Minibatches of `proportional_shares`, over an epoch that sees each new row once.

        `others` are `updates_per_minibatch` and `drop_last`.
        """
        new, replayed = proportional_shares(current, held, minibatch)
        return cls(
            train_mb_size=new + replayed,
            memory_mb_size=replayed or None,
            mix="split",
            balance="none",
            epoch_length="current",
            **others,
        )

    @property
    def shared_by_group(self) -> bool:
        """Whether current and memory groups share a minibatch on equal terms."""
        return self.mix == "split" and self.memory_mb_size is None and self.balance != "none"

    @property
    def has_one_length(self) -> bool:
        """Whether an epoch is as long with any memory, unless that is empty."""
        return self.epoch_length == "current" and not self.shared_by_group

    def two_sizes(self) -> tuple[int, int]:
        """Current and memory rows in a minibatch, where that is the same for any memory.

        Raises:
            ConfigError: see `split`.
        """
        assert not self.shared_by_group
        if self.mix == "add":
            return self.train_mb_size, self.memory_mb_size or self.train_mb_size
        if self.memory_mb_size is not None:
            return self.train_mb_size - self.memory_mb_size, self.memory_mb_size
        current, memory = self.split(2)
        return current, memory

    def split(self, groups: int) -> list[int]:
        """Rows of each group in a minibatch that they share; the first ones get the extra rows.

        Raises:
            ConfigError: there are more groups than rows.
        """
        problem = self.too_small_for(groups, "groups")
        if problem is not None:
            raise ConfigError(problem)
        rows, extra = divmod(self.train_mb_size, groups)
        return [rows + (group < extra) for group in range(groups)]

    def too_small_for(self, groups: int, noun: str) -> str | None:
        """What is wrong where so many groups share a minibatch: it has fewer rows; else None."""
        if self.train_mb_size >= groups:
            return None
        another = ", or" if self.balance == "none" else ", strategy.balance=none, or"
        return (
            f"strategy.train_mb_size={self.train_mb_size}: fewer rows than the {groups} {noun} "
            f"that share a minibatch. Use at least {groups}{another} strategy.mix=add."
        )


def proportional_shares(current: int, held: int, minibatch: int) -> tuple[int, int]:
    """(current, replayed) rows of a minibatch, for `current` new rows and `held` in memory.

    So that an epoch passes about once over both: current // ((current + held) // minibatch) new
    rows, as AR1's published code has it, with the memory's actual length. Where that leaves the
    memory no row, it has its proportional share; what fits into one minibatch is one.
    """
    assert current > 0
    if held == 0:
        return minibatch, 0
    assert minibatch > 1, "a minibatch holds a new and a replayed row"
    new = max(1, current // max(1, (current + held) // minibatch))
    if new >= minibatch:
        new = minibatch - max(1, round(minibatch * held / (current + held)))
    return new, min(minibatch - new, held)
