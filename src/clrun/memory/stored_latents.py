"""Latents in one tensor that grows to its full size once and is then filled in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from clrun.errors import NonFiniteLatents
from clrun.memory.codec import LatentDtype, codec
from clrun.memory.row_order import empty_rows, put_rows, take_rows

PIECE = 64
"""Rows stored or coded again at a time; bounds what that takes on top."""
RESERVED = 2**30
"""Bytes of latents up to which room for all that the memory may hold is set aside at once. What is
never used of it is never taken from the system."""


class StoredLatents:
    """Latents [n, C, ...] on the CPU, as codes of a `Codec`."""

    def __init__(self, dtype: LatentDtype) -> None:
        self.dtype = dtype
        self._codec = codec(dtype)
        self._room = torch.empty(0)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def codes(self) -> Tensor:
        """A view of all latents as they are stored."""
        return self._room[: self._used]

    @property
    def nbytes(self) -> int:
        fixed = sum(parameter.nbytes for parameter in self._codec.state_dict().values())
        return self.codes.nbytes + fixed

    def take(self, index: Tensor) -> Tensor:
        """The latents at `index` [k]: [k, C, ...] float32"""
        return self._codec.decode(take_rows(self.codes, index))

    def keep(self, numbers: Tensor, latents_of: Callable[[Tensor], Tensor], most: int) -> None:
        """Hold the rows of these numbers, in that order, of the latents held and of new ones.

        Numbers [n] from `len(self)` on are of new rows, which `latents_of` computes: it is given
        numbers from 0 on, a few at a time, and is asked twice for the same where the codec has to
        see all values first. Rows whose number is their place are not touched. There will never
        be more than `most` rows.
        """
        held = len(self)
        is_new = numbers >= held
        moved = (~is_new & (numbers != torch.arange(len(numbers)))).nonzero().flatten()
        places = is_new.nonzero().flatten()
        places = places[numbers[places].argsort()]
        new = numbers[places] - held

        def pieces() -> Iterator[Tensor]:
            return (_finite(latents_of(rows).detach().cpu()) for rows in new.split(PIECE))

        if len(new):
            self._cover(pieces())
        if len(moved):
            self._move(numbers[moved], moved, len(numbers), most)
        if len(new):
            for values, at in zip(pieces(), places.split(PIECE), strict=True):
                codes = _finite(self._codec.encode(values))
                self._make_room(len(numbers), most, codes)
                put_rows(self._room, at, codes)
        self._used = len(numbers)

    def _cover(self, pieces: Iterator[Tensor]) -> None:
        """Let codes reach all new values; codes held follow where that changes their meaning."""
        before, self._codec = self._codec, self._codec.covering(pieces)
        if self._codec is not before and len(self):
            for codes in self.codes.split(PIECE):
                codes.copy_(self._codec.encode(before.decode(codes)))

    def _move(self, numbers: Tensor, places: Tensor, rows: int, most: int) -> None:
        """Give rows held other places, before any of them is written over."""
        codes = take_rows(self.codes, numbers)
        self._make_room(rows, most, codes)
        put_rows(self._room, places, codes)

    def _make_room(self, rows: int, most: int, like: Tensor) -> None:
        """For so many latents: at once for all that there will ever be, where that is not much."""
        if rows <= len(self._room):
            return
        at_once = RESERVED // (like[0].numel() * like.itemsize)
        larger = empty_rows(min(most, max(at_once, 2 * rows)), like.shape[1:], like.dtype, like)
        if len(self):
            larger[: len(self)] = self.codes
        self._room = larger

    def state_dict(self) -> dict[str, Tensor]:
        """`x`, the codes, and what the codec needs to read them; nothing before the first row.

        The codes are copied: later rows overwrite places in place, and what is saved meanwhile must
        stay what it was beside its labels.
        """
        if self._room.dim() < 2:
            return {}
        return {"x": self.codes.clone(), **self._codec.state_dict()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Hold copies of saved latents: later ones overwrite places in place."""
        copies = {name: tensor.clone() for name, tensor in state.items()}
        self._room = copies.pop("x", torch.empty(0))
        self._used = len(self._room)
        self._codec = codec(self.dtype, copies)


def _finite(values: Tensor) -> Tensor:
    """The values, all of which must be finite: one that is not would be replayed for ever.

    Raises:
        NonFiniteLatents: one is NaN or infinite.
    """
    if values.is_floating_point() and not bool(values.isfinite().all()):
        raise NonFiniteLatents(str(values.dtype).removeprefix("torch."))
    return values
