"""What a model says of rows: which class, how sure it is, what it gives the true one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrun.device.rows import Rows, sent
from clrun.metrics import Undefined, confusion_entries, ece, nll

LOGITS_AT_ONCE = 2**20
"""Logits that are looked at together, 4 MB: of small minibatches one by one that takes as long as
what a small network computes."""


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


def guessed(strategy: Predicts, minibatches: Iterable[Rows]) -> Tensor:
    """The class of the highest logit for each row of the minibatches [b, C, H, W]. [N] int64"""
    guesses = [logits.argmax(1) for logits in logits_of(strategy, minibatches)]
    return torch.cat(guesses) if guesses else torch.zeros(0, dtype=torch.int64)


def judged(strategy: Predicts, minibatches: Iterable[Rows], y: Tensor) -> Judged:
    """What the strategy says of the rows of the minibatches, whose classes are `y` [N]."""
    found: list[Judged] = []
    done = 0
    for logits in logits_of(strategy, minibatches):
        y = sent(y, logits.device)
        found.append(_judged(logits, y[done : done + len(logits)]))
        done += len(logits)
    if not found:
        return Judged(torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0))
    return Judged(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def detail_of(said: Judged, y: Tensor, classes: int) -> Detail:
    """The detail of the first rows, whose classes are `y`; others do not count. Synchronises."""
    guess, sureness, truth = (part[: len(y)].cpu().numpy() for part in said)
    return Detail(
        confusion=confusion_entries(y.numpy(), guess, classes),
        ece=_known(lambda: ece(sureness, guess == y.numpy())),
        nll=_known(lambda: nll(truth)),
    )


def logits_of(strategy: Predicts, minibatches: Iterable[Rows]) -> Iterator[Tensor]:
    """The logits of all rows in order, those of a few minibatches together. [b, num_classes]"""
    held: list[Tensor] = []
    entries = 0
    for x in minibatches:
        if not len(x):
            continue
        held.append(strategy.predict(x).detach())  # a plugin's may have a graph, to be let go
        entries += held[-1].numel()
        if entries >= LOGITS_AT_ONCE:
            yield torch.cat(held)
            held, entries = [], 0
    if held:
        yield torch.cat(held)


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
