"""Scoring with task ids: each row knows its experience, and so which outputs it may be.

Nothing is predicted once more: of the same logits those of the row's own experience are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.device.rows import sent
from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.runner.task_id_keys import WITHOUT
from clrun.streams.experience import Benchmark, Experience


class OwnOutputs(NamedTuple):
    """Which outputs each of some rows may be."""

    table: Tensor
    """[experiences, num_classes] bool"""
    experience: Tensor
    """[N] int64: that of each row"""

    def best(self, logits: Tensor, first: int) -> Tensor:
        """The class of the highest logit among the outputs of its experience, of the rows from
        `first` on. [B, num_classes] -> [B] int64

        Of equal ones the first counts, as among all outputs: so a row that is right among all is
        right among its own.
        """
        device = logits.device
        rows = sent(self.experience[first : first + len(logits)], device)
        own = sent(self.table, device)[rows]
        guess = logits.masked_fill(~own, -torch.inf).argmax(1)
        # where no output of its own is above minus infinity, the first of them
        is_own = own.gather(1, guess[:, None])[:, 0]
        return torch.where(is_own, guess, own.to(torch.uint8).argmax(1))


def classes_table(benchmark: Benchmark) -> Tensor:
    """The outputs of each experience. -> [experiences, num_classes] bool"""
    table = torch.zeros((len(benchmark), benchmark.shape.num_classes), dtype=torch.bool)
    for place, experience in enumerate(benchmark):
        table[place, list(experience.classes)] = True
    return table


def require_own_classes(benchmark: Benchmark, rows: Iterable[tuple[Experience, Patterns]]) -> None:
    """Refuse a stream where knowing the experience says nothing, or something wrong; `rows` are
    those that each experience is scored on.

    Raises:
        ConfigError: every experience has all classes, or a row is of a class that its experience
            does not have.
    """
    table = classes_table(benchmark)
    if table.all():
        raise ConfigError(
            f"eval.task_ids=true: every experience has all {benchmark.shape.num_classes} classes, "
            f"so that knowing it says nothing. {WITHOUT}, or benchmark.labels=per_experience."
        )
    for place, (experience, part) in enumerate(rows):
        foreign = part.y[~table[place][part.y]]
        if len(foreign):
            name = benchmark.class_names[int(foreign[0])]
            raise ConfigError(
                f"eval.task_ids=true: experience {experience.index} is scored on rows of class "
                f"{name}, which it does not learn. {WITHOUT}."
            )


def require_not_below(aware: Sequence[float | None], agnostic: Sequence[float | None]) -> None:
    """Stop where knowing the experience made an accuracy lower, which it cannot: a row that is
    right among all outputs is right among those of its experience, if its class is one of these.

    Raises:
        AssertionError: it did, so that the table of classes or the order of the rows is wrong, and
            no accuracy of this run is to be believed.
    """
    for index, (own, every) in enumerate(zip(aware, agnostic, strict=True)):
        if own is not None and every is not None and own < every:
            raise AssertionError(
                f"experience {index}: accuracy is {own} with task ids and {every} without, of the "
                "same logits: rows were held against outputs of another experience"
            )
