"""Latent memory: a bounded number of past rows as the lower part of a model sees them.

Pellegrini et al. 2020 (https://arxiv.org/abs/1912.01100), algorithm 1. What differs from the
published code: a row's labels, experience and number travel with it, whatever order rows were
trained in; places that are free are filled before anything is replaced; and which rows stay is
decided before they are computed, so that no others need to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.memory.channel_steps import ChannelSteps, no_steps
from clrun.memory.counts import summary
from clrun.memory.row_order import empty_rows, put_rows, take_rows
from clrun.seeds import generator

LatentDtype = Literal["float32", "float16", "bfloat16", "uint8"]
PIECE = 64
"""Rows stored or coded again at a time; bounds what that takes on top."""
RESERVED = 2**30
"""Bytes of latents up to which room for all that the memory may hold is set aside at once. What is
never used of it is never taken from the system."""


class Latents(Protocol):
    """Latents that exist, as a tensor, or that are computed when their turn comes."""

    @property
    def shape(self) -> Sequence[int]: ...
    def split(self, size: int, /) -> Iterable[Tensor]: ...


class LatentRows(NamedTuple):
    """Latents with what belongs to each of them: all fields have one entry a row."""

    z: Tensor
    """[N, C, ...]"""
    y: Tensor
    """[N] int64, the class"""
    task_label: Tensor
    """[N] int64"""
    experience: Tensor
    """[N] int64, the experience the row is from"""
    sample: Tensor
    """[N] int64, the row's number in that experience"""

    @property
    def nbytes(self) -> int:
        return sum(field.nbytes for field in self)


class NewRows(NamedTuple):
    """Rows to store: `LatentRows` whose latents may be computed a few at a time."""

    z: Latents
    y: Tensor
    task_label: Tensor
    experience: Tensor
    sample: Tensor


class LatentMemory:
    """At most `rm_sz` latents, or as many as fit into `rm_bytes` where that is given.

    After experience i it holds about the same share of each: capacity // (i + 1) rows of the newest
    take the places of random old ones. It owns its rows, on the CPU, as `dtype`: uint8 is a code
    for each value, in steps of its channel's range (`ChannelSteps`).
    """

    def __init__(self, rm_sz: int, rm_bytes: int | None, dtype: LatentDtype, seed: int) -> None:
        self.rm_sz, self.rm_bytes, self.dtype, self.seed = rm_sz, rm_bytes, dtype, seed
        self.rows: LatentRows | None = None
        """as stored; None before the first"""
        self.steps: ChannelSteps | None = None
        """of uint8 rows"""
        self._room = torch.empty(0)
        """where latents are stored; `rows` has a view of its first ones"""

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows.y)

    @property
    def nbytes(self) -> int:
        rows = 0 if self.rows is None else self.rows.nbytes
        return rows + sum(parameter.nbytes for parameter in self.steps or ())

    def capacity(self, latent_shape: Sequence[int]) -> int:
        """Most rows it may hold, for latents of this shape.

        Raises:
            ConfigError: not one row fits into `rm_bytes`.
        """
        if self.rm_bytes is None:
            return self.rm_sz
        row, fixed = bytes_needed(latent_shape, self.dtype)
        if self.rm_bytes < fixed + row:
            shape = "x".join(map(str, latent_shape))
            raise ConfigError(
                f"strategy.rm_bytes={self.rm_bytes}: one {self.dtype} latent of {shape} takes "
                f"{fixed + row} bytes. Use at least {fixed + row}, or null."
            )
        return (self.rm_bytes - fixed) // row

    def choose(self, available: int, experience: int, latent_shape: Sequence[int]) -> Tensor:
        """Which of an experience's `available` rows will be stored, ascending. [n] int64"""
        capacity = self.capacity(latent_shape)
        free = capacity - len(self)
        wanted = min(available, max(free, capacity // (experience + 1)))
        rng = generator(self.seed, "latent memory", experience)
        return torch.randperm(available, generator=rng)[:wanted].sort().values

    def store(self, new: NewRows | LatentRows, experience: int) -> None:
        """Put rows that `choose` named into free places, then into those of random old rows."""
        held, latent_shape = len(self), new.z.shape[1:]
        free = self.capacity(latent_shape) - held
        if len(new.y) == 0:
            return
        rng = generator(self.seed, "latent memory places", experience)
        replaced = torch.randperm(held, generator=rng)[: max(len(new.y) - free, 0)]
        added = len(new.y) - len(replaced)
        assert added <= free, "more rows than choose() names"
        places = torch.cat([torch.arange(held, held + added), replaced])
        self._widen(new.z)
        for z, at in zip(new.z.split(PIECE), places.split(PIECE), strict=True):
            codes = self._coded(z.detach().cpu())
            self._make_room(held + added, codes)
            put_rows(self._room, at, codes)
        self.rows = LatentRows(self._room[: held + added], *self._labels(new, places))

    def _labels(self, new: NewRows | LatentRows, places: Tensor) -> list[Tensor]:
        """What belongs to each row, with that of new rows in their places."""
        held = len(self)
        found = []
        for number, fresh in enumerate(new[1:], start=1):
            field = fresh.cpu().new_empty(max(held, int(places.max()) + 1))
            if self.rows is not None:
                field[:held] = self.rows[number]
            field[places] = fresh.cpu()
            found.append(field)
        return found

    def _make_room(self, rows: int, like: Tensor) -> None:
        """For so many latents: at once for all that there will ever be, where that is not much."""
        if rows <= len(self._room):
            return
        most = self.capacity(like.shape[1:])
        at_once = RESERVED // (like[0].numel() * like.itemsize)
        larger = empty_rows(min(most, max(at_once, 2 * rows)), like.shape[1:], like.dtype, like)
        if self.rows is not None:
            larger[: len(self)] = self.rows.z
        self._room = larger

    def latents(self, index: Tensor) -> Tensor:
        """The latents of the rows at `index` [k]: [k, C, ...] float32"""
        assert self.rows is not None, "the memory is empty"
        stored = take_rows(self.rows.z, index)
        return stored.float() if self.steps is None else self.steps.decode(stored)

    def labels(self) -> Tensor:
        """The class of each row. [N] int64"""
        return torch.empty(0, dtype=torch.int64) if self.rows is None else self.rows.y

    def summary(self) -> dict[str, Any]:
        """How much is held, by class and by experience; see `counts.summary`."""
        y = self.labels()
        return summary(y, y if self.rows is None else self.rows.experience, self.nbytes)

    def state_dict(self) -> dict[str, Tensor]:
        rows = {} if self.rows is None else self.rows._asdict()
        if rows and len(self) < len(self._room):
            rows["z"] = rows["z"].clone()  # a view would be saved with all that was set aside
        return {**rows, **({} if self.steps is None else self.steps._asdict())}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Hold copies of saved rows: later ones overwrite places in place."""
        copies = {name: tensor.clone() for name, tensor in state.items()}
        steps = [copies.pop(name) for name in ChannelSteps._fields if name in copies]
        self.steps = ChannelSteps(*steps) if steps else None
        self.rows = LatentRows(**copies) if copies else None
        self._room = torch.empty(0) if self.rows is None else self.rows.z

    def _widen(self, z: Latents) -> None:
        """Let uint8 codes reach all new latents; old codes follow where a range grew."""
        if self.dtype != "uint8":
            return
        before = self.steps or no_steps(z.shape[1])
        self.steps = before.widened(torch.cat([_ends(values) for values in z.split(PIECE)]))
        if self.rows is not None and not torch.equal(before.step, self.steps.step):
            for codes in self.rows.z.split(PIECE):
                codes.copy_(self.steps.encode(before.decode(codes)))

    def _coded(self, z: Tensor) -> Tensor:
        """New latents as they are stored."""
        return z.to(getattr(torch, self.dtype)) if self.steps is None else self.steps.encode(z)


def _ends(z: Tensor) -> Tensor:
    """The least and the most of each channel. [N, C, ...] -> [2, C] float32"""
    values = z.detach().cpu().float().transpose(0, 1).flatten(1)
    return torch.stack([values.amin(1), values.amax(1)])


def bytes_needed(latent_shape: Sequence[int], dtype: LatentDtype) -> tuple[int, int]:
    """(bytes a row takes with its labels, bytes taken whatever the number of rows)."""
    labels = 8 * (len(LatentRows._fields) - 1)
    row = prod(latent_shape) * getattr(torch, dtype).itemsize + labels
    return row, 2 * 4 * latent_shape[0] if dtype == "uint8" else 0
