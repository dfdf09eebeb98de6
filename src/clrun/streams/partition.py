"""From a stream's keys and the labels of all rows to the rows of each experience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.seeds import generator
from clrun.streams import scenarios, soft_scenarios
from clrun.streams.class_counts import num_sessions
from clrun.streams.scenarios import by_experience
from clrun.streams.split_keys import SplitKeys

ALTERED = ("permuted", "rotated")
"""The scenarios whose experiences all have the same rows, each altered in its own way."""
HELD_OUT_FIRST = ("online", *ALTERED)
"""The scenarios whose experiences are too small, or too alike, to hold out rows of each."""


class Labels(NamedTuple):
    """The classes of all rows of a source, [N] int64 each."""

    train: Tensor
    test: Tensor
    validation: Tensor | None = None
    """None: the source has no rows for it"""


class Assignment(NamedTuple):
    """The rows of each experience, as indices into all training and all test rows, ascending."""

    train: list[Tensor]
    test: list[Tensor]
    validation: list[Tensor] | None
    """the source's own rows for it, or training rows, none of which is in `train`; None where there
    are none"""


class Partition:
    """The partition that the keys say: `rows` is a function of the labels and the seed."""

    def __init__(self, keys: SplitKeys, num_classes: int, seed: int, source: str) -> None:
        """`source` is the key and value that say where the rows come from, for messages."""
        self.keys, self.num_classes, self.seed, self.source = keys, num_classes, seed, source
        own = keys.class_order_seed
        self.order_seed = seed if own is None else own

    def rows(self, train: Tensor, test: Tensor) -> Assignment:
        """The rows of each experience; altered scenarios (`ALTERED`) have one for all.

        Raises:
            ConfigError: an experience would have no rows, or none to validate on.
        """
        if self.keys.scenario in HELD_OUT_FIRST:
            everything = torch.arange(len(train))
            kept, held = _held_out(self.keys, self.seed, train, everything, 0)
            if self.keys.scenario in ALTERED:
                held_out = None if held is None else [held]
                return Assignment([kept], [torch.arange(len(test))], held_out)
            return self._online(train, test, kept, held)
        ours, theirs = self._partition(train, test)
        return with_validation(self.keys, self.seed, train, Assignment(ours, theirs, None))

    def _partition(self, train: Tensor, test: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Training and test rows of each experience, of those scenarios that need no more."""
        match self.keys.scenario:
            case "ni":
                return self._new_instances(train, test)
            case "nic":
                return self._sessions(train, test)
            case "repetition":
                return self._repetition(train, test)
        groups = self._groups()
        ours, theirs = self._of(groups, train, "training"), self._of(groups, test, "test")
        if self.keys.scenario == "blurry":
            ours = self._blurred(train, groups)
        elif self.keys.scenario == "long_tailed":
            ours = self._thinned(train, groups)
        return ours, theirs

    def _new_instances(self, train: Tensor, test: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        n, fewest = self.keys.n_experiences, min(len(train), len(test))
        if n > fewest:
            raise ConfigError(
                f"benchmark.n_experiences={n}: each needs a training and a test row. "
                f"Use at most {fewest}."
            )
        return (
            scenarios.new_instances(train, n, generator(self.seed, "new instances")),
            scenarios.new_instances(test, n, generator(self.seed, "new instances for testing")),
        )

    def _sessions(self, train: Tensor, test: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        n, num_classes = self.keys.n_experiences, self.num_classes
        first = self.keys.first_experience_classes or 1
        sessions = num_sessions(num_classes, n, first, None)
        fewest = self._fewest_of_a_class(train, test)
        if sessions > fewest:
            raise ConfigError(
                f"benchmark.n_experiences={n}: each of {sessions} sessions of a class needs a "
                f"training and a test row. Use at most {num_classes * fewest + 1 - first}."
            )
        units = scenarios.arrange_units(
            self._class_order()[:first],
            num_classes,
            sessions,
            generator(self.order_seed, "unit order"),
        )
        return (
            scenarios.new_units(train, units, generator(self.order_seed, "sessions")),
            scenarios.new_units(test, units, generator(self.order_seed, "sessions for testing")),
        )

    def _repetition(self, train: Tensor, test: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        assert self.keys.repetition_p is not None
        self._fewest_of_a_class(train, test)
        occurs = soft_scenarios.come_back(
            soft_scenarios.steps_of(self._groups()),
            self.keys.repetition_p,
            generator(self.order_seed, "repetition"),
        )
        n = self.keys.n_experiences
        purposes = "repeated rows", "repeated rows for testing"
        ours, theirs = (
            by_experience(soft_scenarios.dealt(y, occurs, generator(self.order_seed, purpose)), n)
            for y, purpose in zip((train, test), purposes, strict=True)
        )
        return ours, theirs

    def _blurred(self, train: Tensor, groups: Sequence[tuple[int, ...]]) -> list[Tensor]:
        assert self.keys.blur is not None
        rng = generator(self.order_seed, "blur")
        step = soft_scenarios.steps_of(groups)
        return by_experience(
            soft_scenarios.blurry(train, step, self.keys.blur, rng), self.keys.n_experiences
        )

    def _thinned(self, train: Tensor, groups: Sequence[tuple[int, ...]]) -> list[Tensor]:
        assert self.keys.imbalance is not None
        rng = generator(self.order_seed, "long tail")
        left = soft_scenarios.long_tail(train, self.keys.imbalance, self.num_classes, rng)
        return [left[rows] for rows in scenarios.new_classes(train[left], groups)]

    def _online(self, train: Tensor, test: Tensor, kept: Tensor, held: Tensor | None) -> Assignment:
        """Test and validation rows follow the training rows of their class."""
        assert self.keys.rows_per_experience is not None
        self._fewest_of_a_class(train, test)
        y, seed = train[kept], self.order_seed
        step = soft_scenarios.steps_of(self._groups())
        experience = soft_scenarios.online(
            y, step, self.keys.rows_per_experience, generator(seed, "online")
        )
        n = int(experience.max()) + 1

        def following(labels: Tensor, purpose: str) -> list[Tensor]:
            rng = generator(seed, purpose)
            return by_experience(soft_scenarios.alike(y, experience, labels, rng), n)

        validation = None
        if held is not None:
            followed = following(train[held], "online for validation")
            validation = [held[rows] for rows in followed]
        ours = [kept[rows] for rows in by_experience(experience, n)]
        return Assignment(ours, following(test, "online for testing"), validation)

    def _groups(self) -> list[tuple[int, ...]]:
        return scenarios.class_groups(
            self.num_classes,
            self.keys.n_experiences,
            self.keys.first_experience_classes,
            self.keys.classes_per_experience,
            self._class_order(),
        )

    def _class_order(self) -> tuple[int, ...]:
        rng = generator(self.order_seed, "class order")
        return scenarios.arrange_classes(self.num_classes, self.keys.class_order, rng)

    def _fewest_of_a_class(self, train: Tensor, test: Tensor) -> int:
        """Rows of the class that has the fewest in either part; each has one at least."""
        each = [(label,) for label in range(self.num_classes)]
        of_classes = [*self._of(each, train, "training"), *self._of(each, test, "test")]
        return min(len(rows) for rows in of_classes)

    def _of(self, groups: Sequence[tuple[int, ...]], y: Tensor, what: str) -> list[Tensor]:
        rows = scenarios.new_classes(y, groups)
        for group, found in zip(groups, rows, strict=True):
            if len(found) == 0:
                raise ConfigError(
                    f"benchmark.{self.source}: has no {what} rows of classes {group}. "
                    f"Use the whole data set."
                )
        return rows


def by_keys(
    keys: SplitKeys, num_classes: int, source: str, labels: Labels, seed: int
) -> Assignment:
    """The rows of each experience as the keys say; see `Partition`.

    A source's own validation rows go where its test rows would.
    """
    train, test, validation = labels
    if validation is None:
        return Partition(keys, num_classes, seed, source).rows(train, test)
    partition = Partition(replace(keys, validation_fraction=0.0), num_classes, seed, source)
    found, held_out = partition.rows(train, test), partition.rows(train, validation)
    return found._replace(validation=held_out.test)


def with_validation(keys: SplitKeys, seed: int, train: Tensor, rows: Assignment) -> Assignment:
    """`rows` with `keys.validation_fraction` of each experience's training rows held out.

    `train` are the labels of all training rows, [N] int64.

    Raises:
        ConfigError: an experience has none to validate on.
    """
    pairs = [_held_out(keys, seed, train, ours, k) for k, ours in enumerate(rows.train)]
    held_out = [held for _, held in pairs if held is not None]
    return Assignment([kept for kept, _ in pairs], rows.test, held_out or None)


def _held_out(
    keys: SplitKeys, seed: int, train: Tensor, rows: Tensor, k: int
) -> tuple[Tensor, Tensor | None]:
    """Those of `rows` to train on, and those held out; None where nothing is."""
    fraction = keys.validation_fraction
    if fraction == 0:
        return rows, None
    kept, held = scenarios.hold_out(train[rows], fraction, generator(seed, "validation", k))
    if len(held) == 0:
        raise ConfigError(
            f"benchmark.validation_fraction={fraction}: is not one row of any class of "
            f"experience {k}. Use a larger fraction, or 0 for no validation data."
        )
    return rows[kept], rows[held]
