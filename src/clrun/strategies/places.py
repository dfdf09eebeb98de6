"""Where an update stands in a run, and the walk over an experience's updates, resumed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from itertools import count
from typing import NamedTuple, Protocol, TypeVar

import torch

from clrun.profiling.spans import span
from clrun.seeds import generator
from clrun.strategies.step import START, Position
from clrun.streams.experience import Experience

Rows = TypeVar("Rows", covariant=True)


class Place(NamedTuple):
    """Where an update stands in the run: every random decision in it follows from this."""

    experience: int
    epoch: int
    iteration: int
    iterations: int
    """updates in this epoch"""
    before: int | None = None
    """updates of the experience before this epoch; None: epochs are all as long as this one"""

    @property
    def made(self) -> int:
        """Updates of the experience before this one."""
        before = self.epoch * self.iterations if self.before is None else self.before
        return before + self.iteration

    def generator(self, seed: int, purpose: str) -> torch.Generator:
        """A fresh CPU generator for one purpose of this update."""
        return generator(seed, purpose, self.experience, self.epoch, self.iteration)


class Minibatches(Protocol[Rows]):
    """The minibatches of one epoch, any of which can be read without the ones before."""

    def __len__(self) -> int: ...
    def __getitem__(self, iteration: int, /) -> Rows: ...


class Keys(Protocol):
    """The keys that say how long an experience is learnt."""

    @property
    def train_epochs(self) -> int: ...
    @property
    def train_iterations(self) -> int | None:
        """updates, in place of epochs"""


def places(
    experience: Experience,
    keys: Keys,
    plan: Callable[[int], Minibatches[Rows]],
    start: Position = START,
) -> Iterator[tuple[Place, Rows]]:
    """The updates to make in `experience`, each as its place and its rows, from `start` on.

    `plan` gives the minibatches of an epoch and is asked when that epoch begins, or is continued,
    so it may depend on what was learnt or stored before. It must give the same for a run that is
    continued inside the epoch: draw from a generator of the seed, the experience and the epoch.

    With `train_iterations` epochs follow one another, which must all be as long, and the last is
    cut where so many updates are made.
    """
    for epoch, minibatches, length, before in _epochs(keys, plan, start):
        first = start.iteration if epoch == start.epoch else 0
        for iteration in range(first, length):
            place = Place(experience.index, epoch, iteration, length, before)
            with span("rows"):
                rows = minibatches[iteration]
            yield place, rows


def _epochs(
    keys: Keys, plan: Callable[[int], Minibatches[Rows]], start: Position
) -> Iterator[tuple[int, Minibatches[Rows], int, int | None]]:
    """Each epoch with its minibatches, how many of them to use, and `Place.before`."""
    for epoch in count(start.epoch):
        if keys.train_iterations is None and epoch >= keys.train_epochs:
            return
        with span("order"):
            minibatches = plan(epoch)
        if keys.train_iterations is None:
            yield epoch, minibatches, len(minibatches), None
            continue
        before = epoch * len(minibatches)
        left = keys.train_iterations - before
        yield epoch, minibatches, min(len(minibatches), left), before
        if left <= len(minibatches):
            return


def is_last_pass(place: Place, passes: int) -> bool:
    """Whether the next update has other current rows; `passes` is `updates_per_minibatch`."""
    return (place.iteration + 1) % passes == 0 or place.iteration + 1 == place.iterations


def num_updates(keys: Keys, plan: Callable[[int], Sized]) -> int:
    """How many updates `places` yields for an experience whose epochs are all as long."""
    in_an_epoch = len(plan(0))
    if keys.train_iterations is not None:
        return keys.train_iterations
    return keys.train_epochs * in_an_epoch
