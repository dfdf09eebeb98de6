"""The losses that `strategy.criterion` chooses from."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot


def criterion(name: str, logits: Tensor, y: Tensor) -> Tensor:
    """Mean loss of a minibatch. [B, C], [B] int64 -> []

    `binary_cross_entropy` treats each class as its own yes-or-no question (as iCaRL trains), summed
    over classes.
    """
    if name == "cross_entropy":
        return cross_entropy(logits, y)
    targets = one_hot(y, logits.shape[1]).to(logits.dtype)
    return binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(y)


def row_losses(name: str, logits: Tensor, y: Tensor) -> Tensor:
    """The loss of each row, whose mean is `criterion`. [B, C], [B] int64 -> [B]"""
    if name == "cross_entropy":
        return cross_entropy(logits, y, reduction="none")
    targets = one_hot(y, logits.shape[1]).to(logits.dtype)
    return binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
