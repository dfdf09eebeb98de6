"""CWR*: a head with two memories, so that new classes do not overwrite the rows of old ones.

Copy Weights with Re-init in the form of Lomonaco et al. 2019 (https://arxiv.org/abs/1907.03799),
which weighs a class seen again by the patterns it had before. What differs from the reference code:
patterns are counted from a class's first experience on, all state is in tensors and in the state
dict, and a head's bias is consolidated like its weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CWRStar:
    """Consolidated rows of a head, one for each class seen so far; the head's own are temporary.

    `begin` before an experience, `consolidate` after it and before evaluation. With w the trained
    row of a class with n patterns now and p in all experiences before:

        w'    = w - mean of all entries of the experience's rows
        saved = w'                               for a class that is new
              = (saved * s + w') / (s + 1)       for one that is not; s = sqrt(p / n)

    A bias is centred by the mean of the experience's biases; adding the same to every logit changes
    no prediction.
    """

    def __init__(self, head: nn.Linear) -> None:
        self.head = head
        self.saved = torch.zeros_like(_rows(head))
        """[num_classes, features], and a last column for a bias"""
        self.past = torch.zeros(len(self.saved), dtype=torch.int64, device=self.saved.device)
        """[num_classes] patterns of each class in the experiences consolidated"""
        self.counts = torch.zeros_like(self.past)
        """[num_classes] patterns of each class in the experience in progress, replay included"""

    @torch.no_grad()
    def begin(self, counts: Tensor, experience: int = 0) -> None:
        """Give the head the rows that an experience begins with (`first_rows`).

        `counts` [num_classes] are the patterns of each class: new ones, and stored ones to replay.
        """
        assert counts.shape == self.past.shape, counts.shape
        self._follow_head()
        self.counts = counts.to(self.past)
        self._put(self.first_rows(experience))

    def first_rows(self, experience: int) -> Tensor:
        """The saved rows of the classes that occur, and zeros otherwise."""
        known = (self.counts > 0) & (self.past > 0)
        return torch.where(known[:, None], self.saved, 0)

    @torch.no_grad()
    def consolidate(self) -> None:
        """Save the experience's rows, and give the head the saved rows of all classes seen.

        The head's rows of classes never seen stay as training left them.
        """
        self._follow_head()
        current = self.counts > 0
        assert current.any(), "begin(counts) comes before each experience"
        self.saved = self.consolidated(_rows(self.head), current)
        self.past += self.counts
        self.counts = torch.zeros_like(self.counts)
        self._put(torch.where(self.past[:, None] > 0, self.saved, _rows(self.head)))

    def consolidated(self, rows: Tensor, current: Tensor) -> Tensor:
        """All saved rows, given the trained ones and which classes these are of."""
        features = self.head.in_features
        rows[:, :features] -= rows[current, :features].mean()
        rows[:, features:] -= rows[current, features:].mean()
        s = (self.past / self.counts.clamp(min=1)).sqrt()[:, None].to(rows)  # 0 for a new class
        merged = (self.saved * s + rows) / (s + 1)
        return torch.where(current[:, None], merged, self.saved)

    def state_dict(self) -> dict[str, Tensor]:
        """The consolidated memory; the head's own rows are the model's."""
        return {name: getattr(self, name).clone() for name in ("saved", "past", "counts")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from such a state, in the middle of an experience too."""
        assert set(state) == {"saved", "past", "counts"}, sorted(state)
        for name, tensor in state.items():
            assert tensor.shape == getattr(self, name).shape, f"{name}: {tuple(tensor.shape)}"
            setattr(self, name, tensor.clone())
        self._follow_head()

    def _follow_head(self) -> None:
        """The head may have been moved since."""
        self.saved = self.saved.to(self.head.weight)
        self.past, self.counts = self.past.to(self.saved.device), self.counts.to(self.saved.device)

    def _put(self, rows: Tensor) -> None:
        features = self.head.in_features
        self.head.weight.copy_(rows[:, :features])
        if self.head.bias is not None:
            self.head.bias.copy_(rows[:, features])


def _rows(head: nn.Linear) -> Tensor:
    """A copy of the weights, with the bias as a last column if there is one."""
    columns = [head.weight] if head.bias is None else [head.weight, head.bias[:, None]]
    return torch.cat([column.detach() for column in columns], dim=1)
