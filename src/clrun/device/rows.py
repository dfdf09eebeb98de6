"""Rows of a data set that minibatches are taken from, where the device reaches them fastest.

On the CPU that is where they are. On a CUDA device it is the device's memory where they fit
(`fits`), else page-locked buffers that are filled in turn and copied beside the computation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any, Protocol

import torch
from torch import Tensor

LEFT_FREE = 0.5
"""Share of a CUDA device's memory that resident rows leave to the model and its activations."""
BUFFERS = 3
"""One is filled while another is copied and a third still waits for its turn on the device."""
PIXELS_AT_ONCE = 512 * 32 * 32
"""Pixels of all images that a model computes together on a CPU where no update depends on it. A
network's activations take many times its images' bytes and fill the processor's caches early: 512
images of 128 px take `model=cnn` 2.5 GB, and 32 of them at a time 0.4 GB and less time."""
COPIED_AT_ONCE = 64 * 2**20
"""Bytes of rows read at once on their way to the device: rows may come from a file."""


class Rows(Protocol):
    """What a tensor [N, ...] and rows that are read from a file when needed have in common."""

    @property
    def shape(self) -> torch.Size: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Tensor | slice, /) -> Rows: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def dim(self) -> int: ...
    def index_select(self, dim: int, index: Tensor, /) -> Tensor: ...
    def split(self, sizes: Any, /) -> Sequence[Rows]: ...
    def to(self, device: torch.device | str, /, *, non_blocking: bool = False) -> Tensor: ...


@dataclass(frozen=True)
class DeviceRows:
    """Rows that can be taken by their indices, on the device."""

    take: Callable[[Tensor], Tensor]
    """A function from indices [n] int64 to rows [n, ...] in that order, in the rows' own dtype."""
    indices_on: torch.device
    """Where `take` wants its indices. Others are copied, and the program waits for the device if
    they come from there: move a whole epoch's indices at once."""
    in_order: Callable[[int], Iterable[Rows]]
    """A function from the most rows at once to all rows, minibatch by minibatch.

    On the CPU rows of a file are not read yet: a strategy that remembers what it makes of them need
    not read them.
    """


def sent(x: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on a device, without waiting where that is safe.

    CUDA has read memory that is not page-locked when the call returns. MPS may not have: what is
    given back meanwhile can be overwritten (https://github.com/pytorch/pytorch/issues/189690).
    """
    if x.device == device:
        return x
    return x.to(device, non_blocking=torch.device(device).type == "cuda")


def hold(rows: Rows, device: torch.device) -> DeviceRows:
    """The fastest way to `rows` from this device."""
    cpu = torch.device("cpu")
    if device.type == "cpu":
        return DeviceRows(partial(rows.index_select, 0), cpu, partial(_split, rows))
    if isinstance(rows, Tensor) and rows.device == device:
        return _held(rows)
    if device.type != "cuda":
        return _taken(partial(_fetched, rows, device), cpu, len(rows))
    if has_room(size_in_bytes(rows), device):
        return _held(resident(rows, device))
    return _taken(_Streamed(rows, device), cpu, len(rows))


def _split(rows: Rows, size: int) -> Iterable[Rows]:
    """Rows on the CPU without a copy, fewer at once where they are large images."""
    return rows.split(rows_at_once(size, rows, torch.device("cpu")))


def _held(rows: Tensor) -> DeviceRows:
    """Rows in the device's memory; in order they are views, which are recognised when they come
    again (`content_digest`)."""
    return DeviceRows(_Resident(rows), rows.device, rows.split)


def _taken(take: Callable[[Tensor], Tensor], indices_on: torch.device, count: int) -> DeviceRows:
    """Rows that are taken by their indices also when they are wanted in order."""
    indices = partial(torch.arange, count, device=indices_on)
    return DeviceRows(take, indices_on, lambda size: map(take, indices().split(size)))


def rows_at_once(most: int, images: Rows, device: torch.device) -> int:
    """How many images [N, C, H, W] go through a model together: `most`, or fewer large ones."""
    if device.type != "cpu":
        return most
    return max(1, min(most, PIXELS_AT_ONCE // math.prod(images.shape[2:])))


def fits(size: int, free: int, total: int) -> bool:
    """Whether `size` bytes more leave enough of a device's memory free, of which `free` are now.

    The rule looks at what would be left, so that holding many data sets stops in time.
    """
    return free - size >= LEFT_FREE * total


def has_room(size: int, device: torch.device) -> bool:
    """Whether rows of `size` bytes may stay in the memory of this device, which is a CUDA one."""
    return device.type == "cuda" and fits(size, *_memory(device))


def size_in_bytes(rows: Rows) -> int:
    """Bytes that a tensor of these rows takes."""
    return math.prod(rows.shape) * rows.dtype.itemsize


def resident(rows: Rows, device: torch.device) -> Tensor:
    """A copy of all rows on the device, read a piece at a time."""
    copy = torch.empty(tuple(rows.shape), dtype=rows.dtype, device=device)
    row_bytes = max(math.prod(rows.shape[1:]) * rows.dtype.itemsize, 1)
    start = 0
    for piece in rows.split(max(COPIED_AT_ONCE // row_bytes, 1)):
        copy[start : start + len(piece)] = piece.to("cpu")
        start += len(piece)
    return copy


def _memory(device: torch.device) -> tuple[int, int]:
    """Free and total bytes of a CUDA device; free is also what PyTorch keeps without using it."""
    free, total = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept, total


def _fetched(rows: Rows, device: torch.device, indices: Tensor) -> Tensor:
    return rows.index_select(0, indices.cpu()).to(device)


class _Resident:
    """Rows in the device's memory."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def __call__(self, indices: Tensor) -> Tensor:
        if indices.device != self._rows.device:
            # on the device a wrong index ends the whole process; here looking costs nothing
            assert not len(indices) or 0 <= int(indices.min()) <= int(indices.max()) < len(
                self._rows
            ), f"rows {int(indices.min())} to {int(indices.max())} of {len(self._rows)}"
            indices = sent(indices, self._rows.device)
        return self._rows.index_select(0, indices)


class _Streamed:
    """Rows gathered in page-locked buffers and copied on a stream of their own."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self._rows, self._device = rows, device
        self._stream = torch.cuda.Stream(device)
        self._buffers = cycle([Buffer(torch.cuda.Event(), pinned=True) for _ in range(BUFFERS)])

    def __call__(self, indices: Tensor) -> Tensor:
        buffer = next(self._buffers)
        gathered = buffer.gather(self._rows, indices.cpu())
        with torch.cuda.stream(self._stream):
            copy = gathered.to(self._device, non_blocking=True)
            buffer.busy_until.record(self._stream)
        current = torch.cuda.current_stream(self._device)
        current.wait_event(buffer.busy_until)
        copy.record_stream(current)  # its memory is the copying stream's, to be reused by that one
        return copy


class Buffer:
    """Memory that rows are gathered in, not before what was last copied from it has arrived.

    `busy_until` is the end of that copy, a torch.cuda.Event; one never recorded is passed already.
    """

    def __init__(self, busy_until: Any, *, pinned: bool) -> None:
        self.busy_until, self._pinned = busy_until, pinned
        self._memory: Tensor | None = None

    def gather(self, rows: Rows, indices: Tensor) -> Tensor:
        """The rows at `indices`; valid until this is called again."""
        self.busy_until.synchronize()
        space = self._space(len(indices), rows)
        if isinstance(rows, Tensor):
            return torch.index_select(rows, 0, indices, out=space)
        return space.copy_(rows.index_select(0, indices))

    def _space(self, n: int, rows: Rows) -> Tensor:
        if self._memory is None or len(self._memory) < n:
            shape = (n, *rows.shape[1:])
            self._memory = torch.empty(shape, dtype=rows.dtype, pin_memory=self._pinned)
        return self._memory[:n]
