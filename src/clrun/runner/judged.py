"""What a model says of rows: which class, how sure it is, what it gives the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrun.device.rows import Rows, sent
from clrun.metrics import Undefined, confusion_entries, ece, nll

Look = Callable[[], None]
"""What may end an evaluation between two minibatches: nothing is half done there."""


class Predicts(Protocol):
    """What is scored: a strategy, or what one has left."""

    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""


class Judged(NamedTuple):
    """What a prediction says of each row; a tensor each, on the device that predicted."""

    guess: Tensor
    """[N] int64: the class of the highest logit"""
    sureness: Tensor
    """[N] float32: its probability, by the softmax of all logits"""
    truth: Tensor
    """[N] float32: the logarithm of the true class's probability"""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """What one evaluation says beside accuracies, all from the same forward passes."""

    confusion: NDArray[np.int64]
    """[entries, 3]: true class, predicted class, rows"""
    ece: float | None
    nll: float | None
    """None where it has no value: no rows, or a true class of probability 0"""


def look_away() -> None:
    """Look for nothing."""


def guessed(strategy: Predicts, minibatches: Iterable[Rows], look: Look = look_away) -> Tensor:
    """The class of the highest logit for each row of the minibatches [b, C, H, W]. [N] int64"""
    guesses = []
    for x in minibatches:
        look()
        if len(x):
            guesses.append(strategy.predict(x).argmax(1))
    return torch.cat(guesses) if guesses else torch.zeros(0, dtype=torch.int64)


def judged(
    strategy: Predicts, minibatches: Iterable[Rows], y: Tensor, look: Look = look_away
) -> Judged:
    """What the strategy says of the rows of the minibatches, whose classes are `y` [N]."""
    found: list[Judged] = []
    done = 0
    for x in minibatches:
        look()
        if len(x):
            logits = strategy.predict(x)
            y = sent(y, logits.device)
            found.append(_judged(logits, y[done : done + len(x)]))
            done += len(x)
    if not found:
        return Judged(torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0))
    return Judged(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def detail_of(parts: Sequence[Judged], y: Tensor, classes: int) -> Detail:
    """The rows of all parts together, of which the first len(y) count. Synchronises."""
    guess, sureness, truth = (
        together(part)[: len(y)].cpu().numpy() for part in zip(*parts, strict=True)
    )
    return Detail(
        confusion=confusion_entries(y.numpy(), guess, classes),
        ece=_known(lambda: ece(sureness, guess == y.numpy())),
        nll=_known(lambda: nll(truth)),
    )


def together(parts: Sequence[Tensor]) -> Tensor:
    """All parts in one tensor. Where there was nothing to predict, they lie on no device."""
    return torch.cat([part for part in parts if len(part)] or list(parts))


def _judged(logits: Tensor, y: Tensor) -> Judged:
    guess = logits.argmax(1)
    logits = logits.float()
    chosen = logits.gather(1, torch.stack([guess, y], dim=1)) - logits.logsumexp(1, keepdim=True)
    return Judged(guess, chosen[:, 0].exp(), chosen[:, 1])


def _known(value: Callable[[], float]) -> float | None:
    try:
        return value()
    except Undefined:
        return None
