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
    """

    train_mb_size: int
    memory_mb_size: int | None
    mix: Literal["split", "add"]
    balance: Literal["experience", "class", "none"]
    epoch_length: Literal["current", "longest"]

    def __post_init__(self) -> None:
        size = self.memory_mb_size
        assert self.train_mb_size >= 1
        assert size is None or size >= 1
        if self.mix == "split" and size is not None and size >= self.train_mb_size:
            raise ValueError(
                f"memory_mb_size={size}: leaves no current row in a minibatch of train_mb_size="
                f"{self.train_mb_size}. Use at most {self.train_mb_size - 1}, or mix=add."
            )

    @classmethod
    def of(cls, keys: Any) -> Composition:
        """As the keys of a strategy with such a memory say."""
        return cls(**{field.name: getattr(keys, field.name) for field in fields(cls)})

    @property
    def shared_by_group(self) -> bool:
        """Whether current and memory groups share a minibatch on equal terms."""
        return self.mix == "split" and self.memory_mb_size is None and self.balance != "none"

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
        size = self.train_mb_size
        if size < groups:
            raise ConfigError(
                f"strategy.train_mb_size={size}: fewer rows than the {groups} groups that share a "
                f"minibatch. Use at least {groups}{self._another_way_out()}."
            )
        rows, extra = divmod(size, groups)
        return [rows + (group < extra) for group in range(groups)]

    def _another_way_out(self) -> str:
        return ", or strategy.mix=add" if self.balance == "none" else ", or strategy.balance=none"
