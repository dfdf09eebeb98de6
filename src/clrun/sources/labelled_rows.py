"""One's own rows, whatever file they come from: numbered classes, test rows, experiences.

Classes are numbered 0, 1, 2, ... in the order of their names, by value where all are numbers, so
gaps between labels leave no unused class; the names stay those that were given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from clrun.disk.opening import UnusualFile
from clrun.errors import ConfigError
from clrun.images.files import DamagedFile, bad_root, data_folder
from clrun.images.patterns import occurrence
from clrun.seeds import generator
from clrun.sources.class_names import BadRows, check_names, composed, in_order, number
from clrun.sources.grouped_rows import whole_groups

DEFAULT_TEST_FRACTION = 0.2


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
    is_validation: Tensor | None = None
    """[N] bool; None: no row is"""
    group: Tensor | None = None
    """[N] int64: rows of one number are of one person or thing, and stay together"""

    @property
    def side(self) -> Tensor:
        """[N] uint8: 0 for training, 1 for testing, 2 for validation."""
        side = self.is_test.to(torch.uint8)
        return side if self.is_validation is None else side + 2 * self.is_validation

    @property
    def has_validation(self) -> bool:
        """Whether some row is for validation."""
        return self.is_validation is not None and bool(self.is_validation.any())

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
        sides = ("training", "test", "validation")[: 3 if self.has_validation else 2]
        for number_of_side, side in enumerate(sides):
            of_side = self.side == number_of_side
            empty = self._none_of(self.y[of_side], len(self.class_names))
            if empty is not None:
                name = self.class_names[empty]
                raise BadRows(f"class {name} has no {side} rows. Add some, or take the class out")
            if self.experience is not None:
                empty = self._none_of(self.experience[of_side], int(self.experience.max()) + 1)
                if empty is not None:
                    raise BadRows(f"experience {empty} has no {side} rows. Add some")
        return self

    def at(self, rows: Tensor) -> LabelledRows:
        """Some of the rows, by their numbers; classes stay as they are."""
        columns = ("y", "is_test", "experience", "is_validation", "group")
        given = {name: getattr(self, name) for name in columns}
        return replace(self, **{k: v[rows] for k, v in given.items() if v is not None})

    @staticmethod
    def _none_of(numbers: Tensor, n: int) -> int | None:
        counts = torch.bincount(numbers, minlength=n)
        return None if counts.all() else int((counts == 0).nonzero()[0])


def numbered_classes(labels: Sequence[str]) -> tuple[tuple[str, ...], Tensor]:
    """The names of the classes in order, and each row's class. -> names, [N] int64

    Raises:
        BadRows: a label is empty, a word for nothing, or negative, or two labels mean one class.
    """
    first = {name: k for k, name in reversed([*enumerate(labels, 1)])}
    for name, row in first.items():
        value = number(name)
        if value is not None and value < 0:
            raise BadRows(
                f"row {row} has label {name}. Number classes from 0 on, "
                "and take unlabelled rows out"
            )
    check_names({name: f"row {row}" for name, row in sorted(first.items(), key=lambda i: i[1])})
    ordered = in_order(first)
    class_of = {name: k for k, name in enumerate(ordered)}
    y = torch.tensor([class_of[label] for label in labels], dtype=torch.int64)
    return tuple(composed(name) for name in ordered), y


def with_test_rows(rows: LabelledRows, test_fraction: float | None) -> LabelledRows:
    """`test_fraction` (None: a fifth) of each class in each experience moved to the test rows.

    At least one of two; the same rows whatever the run's seed, so that all seeds share one test.
    """
    fraction = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
    unit, wanted = _shares(rows, fraction)
    rng = generator(0, "test rows of own data")
    if rows.group is not None:
        is_test = whole_groups(unit, wanted, rows.group, rng)
    else:
        shuffled = torch.randperm(len(unit), generator=rng)
        is_test = torch.zeros(len(unit), dtype=torch.bool)
        is_test[shuffled] = occurrence(unit[shuffled]) < wanted[unit[shuffled]]
    return replace(rows, is_test=is_test)


def with_validation_groups(rows: LabelledRows, fraction: float) -> LabelledRows:
    """About `fraction` of the training rows of each class in each experience held out by groups.

    The same rows whatever the run's seed.
    """
    train = (~rows.is_test).nonzero().flatten()
    ours = rows.at(train)
    assert ours.group is not None
    rng = generator(0, "validation groups of own data")
    is_validation = torch.zeros(len(rows.y), dtype=torch.bool)
    is_validation[train] = whole_groups(*_shares(ours, fraction), ours.group, rng)
    return replace(rows, is_validation=is_validation)


def _shares(rows: LabelledRows, fraction: float) -> tuple[Tensor, Tensor]:
    """The unit of each row, a class in an experience, and how many of each are wanted.

    -> [N] int64, [units] int64; at least one of two
    """
    unit = rows.y
    if rows.experience is not None:
        unit = unit * (int(rows.experience.max()) + 1) + rows.experience
    unit = unit.unique(return_inverse=True)[1]
    counts = torch.bincount(unit)
    wanted = (counts.double() * fraction + 1e-9).floor().long()
    return unit, torch.where(counts > 1, wanted.clamp(min=1), 0)


def check_groups_whole(rows: LabelledRows) -> None:
    """Raise BadRows for a group that is on two sides."""
    assert rows.group is not None
    first: dict[int, int] = {}
    sides = rows.side.tolist()
    for k, group in enumerate(rows.group.tolist()):
        other = first.setdefault(group, k)
        if sides[other] != sides[k]:
            raise BadRows(
                f"rows {other + 1} and {k + 1} are of one group and on two sides. "
                "Put all rows of a group on one side, or take the column group out"
            )


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
    except UnusualFile as error:
        reason = f"{error.filename} {error.strerror}"
        raise bad_root(root, reason, "Take it out, or put a regular file there") from error
    except OSError as error:
        reason = f"{error.filename or root} cannot be read ({error.strerror})"
        raise bad_root(root, reason, "Change its permissions, or copy the data") from error
