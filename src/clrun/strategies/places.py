"""Where an update stands in a run, and the walk over an experience's updates, resumed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
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

    def generator(self, seed: int, purpose: str) -> torch.Generator:
        """A fresh CPU generator for one purpose of this update."""
        return generator(seed, purpose, self.experience, self.epoch, self.iteration)


class Minibatches(Protocol[Rows]):
    """The minibatches of one epoch, any of which can be read without the ones before."""

    def __len__(self) -> int: ...
    def __getitem__(self, iteration: int, /) -> Rows: ...


class Keys(Protocol):
    """The key that says how long an experience is learnt."""

    @property
    def train_epochs(self) -> int: ...


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
    """
    for epoch in range(start.epoch, keys.train_epochs):
        with span("order"):
            minibatches = plan(epoch)
        first = start.iteration if epoch == start.epoch else 0
        for iteration in range(first, len(minibatches)):
            place = Place(experience.index, epoch, iteration, len(minibatches))
            with span("rows"):
                rows = minibatches[iteration]
            yield place, rows


def num_updates(keys: Keys, plan: Callable[[int], Sized]) -> int:
    """How many updates `places` yields for an experience whose epochs are all as long."""
    return keys.train_epochs * len(plan(0))
