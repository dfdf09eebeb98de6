"""CWR and CWR+: a class's rows are copied when an experience is over, whatever was there before.

Copy Weights with Re-init is by Lomonaco & Maltoni 2017 (https://arxiv.org/abs/1705.03550), CWR+ by
Maltoni & Lomonaco 2019 (https://arxiv.org/abs/1806.08568). This is the form that van de Ven et al.
2021 compare on Split MNIST (GMvandeVen/class-incremental-learning, train.py). With w the trained
rows of the experience's classes, replayed ones too:

    cwr       the head is drawn anew for each experience;   saved = w
    cwr_plus  the head is zero at each one's beginning;     saved = w - m

where m is the mean of all entries of the saved rows of all classes seen so far, w among them;
biases are centred by their own mean. What differs from CWR* (`cwr_star`): nothing saved is loaded
into the head before an experience, and the rows of a class seen again are not averaged. The papers
have weights for the first experience and the others; here all have weight 1. In the code above
every layer below the head is frozen after the first experience, which is `freeze_from=1` without a
`latent_layer`; AR1 there is CWR+ with `freeze_from=never` and Synaptic Intelligence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clrun.seeds import generator
from clrun.strategies.cwr_star import CWRStar


class CWR(CWRStar):
    """`saved` are copies; `seed` draws the head of each experience, where it is None it is zero and
    rows are centred (CWR+)."""

    def __init__(self, head: nn.Linear, seed: int | None) -> None:
        super().__init__(head)
        self._seed = seed

    def first_rows(self, experience: int) -> Tensor:
        """Drawn as PyTorch draws a linear layer, or zeros."""
        rows = torch.zeros_like(self.saved)
        if self._seed is None:
            return rows
        most: float = self.head.in_features**-0.5
        drawn = torch.rand(rows.shape, generator=generator(self._seed, "cwr head", experience))
        return rows.copy_((2 * drawn - 1) * most)

    def consolidated(self, rows: Tensor, current: Tensor) -> Tensor:
        saved = torch.where(current[:, None], rows, self.saved)
        if self._seed is not None:
            return saved
        seen, features = current | (self.past > 0), self.head.in_features
        saved[current, :features] -= saved[seen, :features].mean()
        saved[current, features:] -= saved[seen, features:].mean()
        return saved


def cwr_of(name: str, head: nn.Linear, seed: int) -> CWRStar | None:
    """What looks after a head, by the name of AR1's key; None: nothing does."""
    made = {
        "cwr_star": lambda: CWRStar(head),
        "cwr": lambda: CWR(head, seed),
        "cwr_plus": lambda: CWR(head, None),
    }
    return made[name]() if name in made else None
