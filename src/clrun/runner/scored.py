"""The evaluations of a run so far, which take the space of what was evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clrun.runner.judged import Detail
from clrun.runner.scores import Scores

Floats = NDArray[np.float64]
"""Accuracies; NaN was not measured."""


class Point(NamedTuple):
    """An evaluation of a trained model."""

    seen: int
    """the last experience that was seen then"""
    experiences: Floats
    """up to the last one that was evaluated"""
    classes: Floats
    """all of them; empty inside an experience, where only the curve is looked at"""
    own_curve: Floats
    """up to the last experience that was evaluated, on the rows that stand for all inside an
    experience; empty where `experiences` is of those"""
    iteration: int
    """updates before it"""

    @property
    def curve(self) -> Floats:
        """Accuracies on the rows that every evaluation has, inside an experience and at its end."""
        return self.own_curve if len(self.own_curve) else self.experiences


@dataclass(kw_only=True)
class Scored:
    """All evaluations, in order of time."""

    initial: Scores | None = None
    """that of the untrained model"""
    points: list[Point] = field(default_factory=list)
    """those of the model as it was trained"""
    ends: list[int | None] = field(default_factory=list)
    """for each experience that was learnt, which of these came at its end, if any did"""

    detail: Detail | None = None
    """of the last evaluation that was at the end of an experience"""

    task_aware: Scored | None = None
    """the same evaluations with task ids; None where there were none with them"""

    def add(self, seen: int, scores: Scores, iteration: int) -> None:
        """Keep an evaluation on all rows, after so many updates."""
        experiences, classes = floats(trimmed(scores.experiences)), floats(scores.classes)
        own_curve = floats(trimmed(scores.subset or []))
        self.points.append(Point(seen, experiences, classes, own_curve, iteration))
        self.detail = scores.detail or self.detail
        if scores.task_aware is not None:
            self._aware().add(seen, scores.task_aware, iteration)

    def add_inside(
        self,
        seen: int,
        accuracies: Sequence[float | None],
        iteration: int,
        task_aware: Sequence[float | None] | None = None,
    ) -> None:
        """Keep an evaluation inside an experience, on the rows of the curve."""
        none, curve = np.zeros(0), floats(trimmed(accuracies))
        self.points.append(Point(seen, none, none, curve, iteration))
        if task_aware is not None:
            self._aware().add_inside(seen, task_aware, iteration)

    def end_experience(self, *, evaluated: bool) -> None:
        """An experience is over; `evaluated` if the evaluation that was kept last is of its end."""
        self.ends.append(len(self.points) - 1 if evaluated else None)
        if self.task_aware is not None:
            self.task_aware.ends = list(self.ends)

    def _aware(self) -> Scored:
        if self.task_aware is None:
            self.task_aware = Scored(ends=list(self.ends))
        return self.task_aware

    def at_ends(self) -> list[Point | None]:
        """The evaluation at the end of each experience."""
        return [None if number is None else self.points[number] for number in self.ends]

    def are_ends(self) -> list[bool]:
        """Whether each evaluation is that of the end of an experience."""
        ends = set(self.ends)
        return [place in ends for place in range(len(self.points))]

    def state_dict(self) -> dict[str, Any]:
        return {
            "initial": None if self.initial is None else self.initial.as_dict(),
            "seen": torch.tensor([point.seen for point in self.points], dtype=torch.int64),
            "experiences": _flat([point.experiences for point in self.points]),
            "classes": _flat([point.classes for point in self.points]),
            "curves": _flat([point.own_curve for point in self.points]),
            "iterations": torch.tensor([p.iteration for p in self.points], dtype=torch.int64),
            "ends": list(self.ends),
            "detail": None if self.detail is None else _plain(self.detail),
            **({} if self.task_aware is None else {"task_aware": self.task_aware.state_dict()}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        initial = state["initial"]
        self.initial = None if initial is None else Scores.of_dict(initial)
        rows = [_rows(state[name]) for name in ("experiences", "classes", "curves")]
        parts = state["seen"].tolist(), *rows, state["iterations"].tolist()
        self.points = [Point(*point) for point in zip(*parts, strict=True)]
        self.ends = list(state["ends"])
        detail = state["detail"]
        self.detail = None if detail is None else _detail(detail)
        self.task_aware = None
        if "task_aware" in state:
            self.task_aware = Scored()
            self.task_aware.load_state_dict(state["task_aware"])


def trimmed(values: Sequence[float | None]) -> list[float | None]:
    """The values without those at the end that are None."""
    count = next((n for n in range(len(values), 0, -1) if values[n - 1] is not None), 0)
    return list(values[:count])


def floats(values: Sequence[float | None]) -> Floats:
    """Accuracies as an array."""
    return np.array(values, dtype=np.float64)  # None becomes NaN


def padded(values: Floats, width: int) -> Floats:
    """The accuracies with NaN for what was not measured, up to this many."""
    if len(values) == width:
        return values
    return np.pad(values, (0, width - len(values)), constant_values=np.nan)


def optional(values: Floats) -> list[float | None]:
    """The accuracies as a list, with None for what was not measured."""
    missing = np.isnan(values)
    if not missing.any():
        return list(values.tolist())
    return [None if m else v for m, v in zip(missing.tolist(), values.tolist(), strict=True)]


def _plain(detail: Detail) -> dict[str, Any]:
    return {
        "confusion": torch.from_numpy(detail.confusion.copy()),
        "ece": detail.ece,
        "nll": detail.nll,
    }


def _detail(plain: Mapping[str, Any]) -> Detail:
    return Detail(**{**plain, "confusion": plain["confusion"].numpy().copy()})


def _flat(rows: Sequence[Floats]) -> dict[str, Tensor]:
    """All rows one after another, and how long each is."""
    return {
        "values": torch.from_numpy(np.concatenate([np.zeros(0), *rows])),
        "sizes": torch.tensor([len(row) for row in rows], dtype=torch.int64),
    }


def _rows(flat: dict[str, Tensor]) -> list[Floats]:
    """What `_flat` was given; each row has memory of its own."""
    return [row.numpy().copy() for row in flat["values"].split(flat["sizes"].tolist())]
