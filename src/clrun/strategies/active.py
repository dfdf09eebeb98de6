"""Which outputs the loss of a row knows while training (`strategy.active`).

    all         all of them: a class that never came is pushed down from the first update on
    seen        those of the experiences begun so far
    experience  those of the row's own experience, of a replayed row too: separate heads
    minibatch   those of the classes among the rows of the same loss: the "labels trick"

One boolean table of experience and class says it all. The softmax of a row goes over the outputs
that are active, and no gradient reaches the others. Evaluation goes over all outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.streams.experience import Experience

MASKED = -1e9
"""A logit that no softmax sees; finite, so that a yes-or-no question about it has loss 0."""


class ActiveClasses:
    """The outputs that are active beside each label; what an update has used of them."""

    def __init__(
        self,
        mode: Literal["seen", "experience", "minibatch"],
        num_classes: int,
        device: torch.device,
    ) -> None:
        self.mode = mode
        self.table = torch.zeros((0, num_classes), dtype=torch.bool, device=device)
        """[experiences begun, num_classes], true for the classes of each experience"""
        self._used = torch.zeros(num_classes, dtype=torch.bool, device=device)
        self._inactive = torch.zeros((1, num_classes), dtype=torch.bool, device=device)

    def begin(self, experience: Experience) -> None:
        """Take in the classes of an experience that begins or goes on.

        Raises:
            ConfigError: `experience`, and one of them belongs to another experience too.
        """
        rows = experience.merged_from or (experience.classes,)
        end = experience.index + len(rows)
        table = self.table.new_zeros((max(end, len(self.table)), self.table.shape[1]))
        table[: len(self.table)] = self.table
        for index, classes in enumerate(rows, experience.index):
            table[index, list(classes)] = True
        self.load(table)

    def load(self, table: Tensor) -> None:
        """Continue with such a table.

        Raises:
            ConfigError: see `begin`.
        """
        self.table = table.to(self.table)
        begun = self.table.any(0)
        if self.mode == "seen":
            self._inactive = ~begun[None]
        elif self.mode == "experience":
            self._require_disjoint()
            self._inactive = begun.new_zeros((len(begun), len(begun)))  # of none that began
            if len(table):
                own = self.table.to(torch.uint8).argmax(0)
                self._inactive = ~self.table[own] & begun[:, None]  # row c: for a row of class c

    def inactive(self, y: Tensor) -> Tensor:
        """The outputs that the loss of rows of these classes does not know.

        [B] int64 -> [B, num_classes] bool, or [1, num_classes] where it is the same for all
        """
        if self.mode == "experience":
            return self._inactive[y]
        if self.mode == "minibatch":
            return torch.ones_like(self._used).index_fill_(0, y, False)[None]
        return self._inactive

    def masked(self, logits: Tensor, y: Tensor) -> Tensor:
        """The logits, those of inactive outputs so low that no loss sees them. [B, C] -> [B, C]"""
        return logits.masked_fill(self.inactive(y), MASKED)

    def enter(self) -> None:
        """An update begins, which has used nothing yet."""
        self._used.zero_()

    def use(self, classes: Tensor | Sequence[int]) -> None:
        """The update in progress trains the outputs that are active beside these classes."""
        index = torch.as_tensor(classes, dtype=torch.int64, device=self._used.device)
        self._used.index_fill_(0, index, True)

    def experiences_used(self) -> Tensor:
        """The experiences whose outputs the update in progress trains. [E] bool"""
        return (self.table & self._used).any(1)

    def _require_disjoint(self) -> None:
        if (shared := self.table.sum(0) > 1).any():
            raise ConfigError(
                f"strategy.active=experience: class {int(shared.nonzero()[0])} occurs in more than "
                "one experience, so that a row's class does not tell its experience. "
                "Use strategy.active=seen, or benchmark.labels=per_experience."
            )
