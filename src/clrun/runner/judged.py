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
from clrun.runner.task_aware import OwnOutputs

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
    own: Tensor
    """[N] int64: the class of the highest logit among those of the row's experience; where it is
    not asked for, `guess`"""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """What one evaluation says beside accuracies, all from the same forward passes."""

    confusion: NDArray[np.int64]
    """[entries, 3]: true class, predicted class, rows"""
    ece: float | None
    nll: float | None
    """None where it has no value: no rows, or a true class of probability 0"""


def guessed(
    strategy: Predicts, minibatches: Iterable[Rows], outputs: OwnOutputs | None = None
) -> tuple[Tensor, Tensor]:
    """The class of the highest logit for each row of the minibatches [b, C, H, W], among all and
    among the row's own `outputs`. [N] int64 both"""
    guesses, own = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
    done = 0
    for logits in logits_of(strategy, minibatches):
        guess = logits.argmax(1)
        guesses.append(guess)
        own.append(guess if outputs is None else outputs.best(logits, done))
        done += len(logits)
    among_all = _joined(guesses)
    return among_all, among_all if outputs is None else _joined(own)


def judged(
    strategy: Predicts,
    minibatches: Iterable[Rows],
    y: Tensor,
    outputs: OwnOutputs | None = None,
) -> Judged:
    """What the strategy says of the rows of the minibatches, whose classes are `y` [N]; `outputs`
    are those that each row may be."""
    found: list[Judged] = []
    done = 0
    for logits in logits_of(strategy, minibatches):
        y = sent(y, logits.device)
        said = _judged(logits, y[done : done + len(logits)])
        found.append(said if outputs is None else said._replace(own=outputs.best(logits, done)))
        done += len(logits)
    if not found:
        none = torch.zeros(0, dtype=torch.int64)
        return Judged(none, torch.zeros(0), torch.zeros(0), none)
    return Judged(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def detail_of(said: Judged, y: Tensor, classes: int) -> Detail:
    """The detail of the first rows, whose classes are `y`; others do not count. Synchronises."""
    guess, sureness, truth = (part[: len(y)].cpu().numpy() for part in said[:3])
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
    return Judged(guess, chosen[:, 0].exp(), chosen[:, 1], guess)


def _joined(parts: list[Tensor]) -> Tensor:
    """The parts but the first, which is empty, on their device."""
    return torch.cat(parts[1:]) if len(parts) > 1 else parts[0]


def _known(value: Callable[[], float]) -> float | None:
    try:
        return value()
    except Undefined:
        return None
