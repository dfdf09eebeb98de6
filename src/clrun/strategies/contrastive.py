"""The supervised contrastive loss, what it compares, and which class an anchor lies among.

Khosla et al. 2020, "Supervised Contrastive Learning", https://arxiv.org/abs/2004.11362, equation 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot, relu

from clrun.strategies.active import MASKED


class Projection(nn.Module):
    """What features are compared by: [B, d] -> [B, size]."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.output = nn.Linear(width, size)
        self.hidden = nn.Linear(width, width)  # the last one: what it is given are the features

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.output(relu(self.hidden(features)))
        return projected


def supervised_contrastive(projections: Tensor, y: Tensor, temperature: float) -> Tensor:
    """The mean over anchors of the loss of a minibatch. [n, k] float, [n] int64 -> []

    With z the projections at unit length, P(i) the other rows of i's class and A(i) all other rows,

        loss of i = -1/|P(i)| sum over p in P(i) of log(exp(z_i z_p / t) / sum_a exp(z_i z_a / t))

    A row that is alone in its class is no anchor; there must be another one.
    """
    itself = torch.eye(len(y), dtype=torch.bool, device=y.device)
    likeness = _likeness(projections, temperature).masked_fill(itself, MASKED)
    positive = (y[:, None] == y) & ~itself
    log_share = (likeness - likeness.logsumexp(1, keepdim=True)).where(positive, 0.0)
    positives = positive.sum(1)
    losses = -log_share.sum(1) / positives.clamp(min=1)
    return losses.sum() / (positives > 0).sum()


@torch.no_grad()
def among(projections: Tensor, y: Tensor, temperature: float, num_classes: int) -> Tensor:
    """How much each row is like the other rows of each class: the log of the mean of exp(z_i z_j/t)
    over them; of a class without others as low as can be. [n, k], [n] -> [n, num_classes]"""
    likeness = _likeness(projections, temperature)
    largest = likeness.max()
    powers = (likeness - largest).exp().fill_diagonal_(0)
    members = one_hot(y, num_classes).to(powers)
    others = (members.sum(0) - members).clamp(min=1)
    means = powers @ members / others
    return (means.log() + largest).clamp(min=MASKED)


def _likeness(projections: Tensor, temperature: float) -> Tensor:
    """The cosine of each pair, divided by the temperature. [n, k] -> [n, n]"""
    z = normalize(projections, dim=1)
    return z @ z.T / temperature
