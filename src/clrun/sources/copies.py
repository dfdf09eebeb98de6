"""Rows that are on both sides: one file under two names, or equal pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from clrun.device.rows import Rows
from clrun.images.image_files import named
from clrun.sources.class_names import BadRows

AT_ONCE = 1024
"""Rows that are read together."""


class Copies(NamedTuple):
    """How many held-out rows have the pixels of a training row, and the first of them."""

    rows: int
    held_out: int
    train: int


def check_files_apart(files: Sequence[Path], side: Tensor) -> None:
    """Raise BadRows for a file that is on two sides, by a link or under two names.

    `side`: [N], a number for each side.
    """
    first: dict[tuple[int, int], int] = {}
    sides = side.tolist()
    for k, file in enumerate(files):
        status = os.stat(file)
        other = first.setdefault((status.st_dev, status.st_ino), k)
        if sides[other] != sides[k]:
            raise BadRows(
                f"{in_full(files[other])} and {in_full(file)} are one file, and would be on two "
                "sides of training and testing. Take one out"
            )


def copies(train: Rows, held_out: Rows) -> Copies | None:
    """Held-out rows that are training rows by their pixels; None if there are none.

    [N, C, H, W] and [M, C, H, W] uint8
    """
    row_of = {digest: k for k, digest in reversed([*enumerate(_digests(train))])}
    found = [(k, row_of[d]) for k, d in enumerate(_digests(held_out)) if d in row_of]
    return Copies(len(found), *found[0]) if found else None


def notes_on_copies(
    train: Rows, held_out: Mapping[str, Rows], place: Callable[[str, int], str]
) -> tuple[str, ...]:
    """A line for each held-out side with rows that are training rows by their pixels.

    `place` names a row by its side and its number there.
    """
    found = {side: copies(train, x) for side, x in held_out.items()}
    return tuple(
        f"{of_side.rows} of {len(held_out[side])} {side} rows have the pixels of training rows, "
        f"e.g. {place(side, of_side.held_out)} those of {place('training', of_side.train)}."
        for side, of_side in found.items()
        if of_side is not None
    )


def _digests(x: Rows) -> Iterator[bytes]:
    for rows in torch.arange(len(x)).split(AT_ONCE):
        for row in x.index_select(0, rows).contiguous().numpy():
            yield blake2b(row.data, digest_size=16).digest()


def in_full(file: Path) -> str:
    """The file with two folders above it, of which one may be the side."""
    return f"{file.parent.parent.name}/{named(file)}"
