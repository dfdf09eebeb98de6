"""One's own rows, whatever file they come from: numbered classes, test rows, experiences.

Classes are numbered 0, 1, 2, ... in the order of their names (as numbers where all are numbers),
so gaps between labels leave no unused class; the names stay those that were given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.images.files import DamagedFile, bad_root, data_folder
from clrun.images.patterns import occurrence
from clrun.seeds import generator

DEFAULT_TEST_FRACTION = 0.2


class BadRows(DamagedFile):
    """Data that fit no stream; the message ends with the way out."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Everything that is known of each row besides its image."""

    class_names: tuple[str, ...]
    y: Tensor
    """[N] int64"""
    is_test: Tensor
    """[N] bool"""
    experience: Tensor | None = None
    """[N] int64: 0, 1, 2, ... as the data say, in the order of their numbers; None: they do not"""

    @property
    def num_experiences(self) -> int | None:
        """The number of experiences that the data name; None if they name none."""
        return None if self.experience is None else int(self.experience.max()) + 1

    def check(self) -> LabelledRows:
        """These rows, if every class and experience can be trained on and tested.

        Raises:
            BadRows: fewer than two classes, or nothing of one on one side.
        """
        if len(self.class_names) < 2:
            found = self.class_names[0] if self.class_names else "none"
            raise BadRows(f"there is one class only ({found}). Give rows of at least two")
        for side, of_side in (("training", ~self.is_test), ("test", self.is_test)):
            empty = self._none_of(self.y[of_side], len(self.class_names))
            if empty is not None:
                name = self.class_names[empty]
                raise BadRows(f"class {name} has no {side} rows. Add some, or take the class out")
            if self.experience is not None:
                empty = self._none_of(self.experience[of_side], int(self.experience.max()) + 1)
                if empty is not None:
                    raise BadRows(f"experience {empty} has no {side} rows. Add some")
        return self

    @staticmethod
    def _none_of(numbers: Tensor, n: int) -> int | None:
        counts = torch.bincount(numbers, minlength=n)
        return None if counts.all() else int((counts == 0).nonzero()[0])


def numbered_classes(labels: Sequence[str]) -> tuple[tuple[str, ...], Tensor]:
    """The names of the classes in order, and each row's class. -> names, [N] int64

    Raises:
        BadRows: a label is empty, not a number (NaN) or negative.
    """
    names = set(labels)
    for name in names:
        if not name.strip() or name.strip().lower() == "nan":
            raise BadRows(f"row {labels.index(name) + 1} has no label ('{name}'). Fill it in")
        if name.startswith("-") and name[1:].isdecimal():
            raise BadRows(
                f"row {labels.index(name) + 1} has label {name}. Number classes from 0 on, "
                "and take unlabelled rows out"
            )
    ordered = in_order(names)
    number = {name: k for k, name in enumerate(ordered)}
    return ordered, torch.tensor([number[label] for label in labels], dtype=torch.int64)


def in_order(names: set[str]) -> tuple[str, ...]:
    """The names, sorted as numbers where all are numbers."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def with_test_rows(rows: LabelledRows, test_fraction: float | None) -> LabelledRows:
    """`test_fraction` (None: a fifth) of each class in each experience moved to the test rows.

    At least one of two; the same rows whatever the run's seed, so that all seeds share one test.
    """
    fraction = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
    group = rows.y
    if rows.experience is not None:
        group = group * (int(rows.experience.max()) + 1) + rows.experience
    group = group.unique(return_inverse=True)[1]
    counts = torch.bincount(group)
    wanted = (counts.double() * fraction + 1e-9).floor().long()
    wanted = torch.where(counts > 1, wanted.clamp(min=1), 0)
    shuffled = torch.randperm(len(group), generator=generator(0, "test rows of own data"))
    is_test = torch.zeros(len(group), dtype=torch.bool)
    is_test[shuffled] = occurrence(group[shuffled]) < wanted[group[shuffled]]
    return replace(rows, is_test=is_test)


def numbered_experiences(given: Tensor, rows: LabelledRows) -> Tensor:
    """Experiences 0, 1, 2, ... from the numbers in the data; -1 is a test row without one.

    Such a row goes where the training rows of its class are. [N] int64 -> [N] int64

    Raises:
        BadRows: a training row has none, or a class is in several and a test row has none.
    """
    unknown = given < 0
    if (unknown & ~rows.is_test).any():
        row = int((unknown & ~rows.is_test).nonzero()[0]) + 1
        raise BadRows(f"row {row} has no experience. Number all training rows from 0 on")
    known = given[~unknown].unique()
    experience = torch.searchsorted(known, given).clamp(max=len(known) - 1)
    if not unknown.any():
        return experience
    train = ~rows.is_test
    first = torch.full((len(rows.class_names),), len(known)).scatter_reduce(
        0, rows.y[train], experience[train], "amin"
    )
    last = torch.full((len(rows.class_names),), -1).scatter_reduce(
        0, rows.y[train], experience[train], "amax"
    )
    torn = first[rows.y[unknown]] < last[rows.y[unknown]]
    if torn.any():
        name = rows.class_names[int(rows.y[unknown][torn][0])]
        raise BadRows(
            f"class {name} is in several experiences, and its test rows name none. "
            "Give the experience of the test rows too"
        )
    experience[unknown] = last[rows.y[unknown]]
    return experience


def own_root(data_root: str | None, way_out: str) -> Path:
    """The file or folder of one's own data, for which there is no default.

    Raises:
        ConfigError: it names nothing.
    """
    if data_root is None:
        raise ConfigError(f"benchmark.data_root=null: {way_out}.")
    return data_folder(data_root)


@contextmanager
def one_line_errors(root: Path) -> Iterator[None]:
    """Whatever is wrong with one's own data becomes one line that starts with their place."""
    try:
        yield
    except BadRows as error:
        raise ConfigError(f"benchmark.data_root={root}: {error}.") from error
    except DamagedFile as error:
        raise bad_root(root, str(error), "Repair the file, or take it out") from error
    except OSError as error:
        reason = f"{error.filename or root} cannot be read ({error.strerror})"
        raise bad_root(root, reason, "Change its permissions, or copy the data") from error
