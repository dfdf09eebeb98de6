"""Single tensors of a safetensors file, without torch and without reading the rest of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrun.disk.opening import open_regular

LARGEST_HEADER = 64 * 2**20
TYPES = {"U8": "<u1", "I64": "<i8"}
"""Those that are read here."""


class TensorFile:
    """The header of a file, and rows of its tensors on request.

    Raises:
        ValueError: it is no such file.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= LARGEST_HEADER:
                raise ValueError("is no safetensors file")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("is no safetensors file")
        self._entries: Mapping[str, Any] = header
        self._start = 8 + length

    def shape(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """(type, shape) of a tensor; None where there is none of that name."""
        entry = self._entries.get(name)
        if not isinstance(entry, dict):
            return None
        return str(entry["dtype"]), tuple(int(side) for side in entry["shape"])

    def rows(self, name: str, places: Sequence[int] | None = None) -> NDArray[Any]:
        """A tensor, or some of its rows."""
        entry = self._entries[name]
        dtype = np.dtype(TYPES[entry["dtype"]])
        count, *inner = (int(side) for side in entry["shape"])
        size = int(np.prod(inner, dtype=np.int64)) * dtype.itemsize
        start, end = entry["data_offsets"]
        if end - start != count * size:
            raise ValueError(f"{name} has not the size that it says")
        wanted = range(count) if places is None else places
        with open_regular(self._path) as file:
            parts = []
            for place in wanted:
                file.seek(self._start + start + place * size)
                parts.append(file.read(size))
        found = np.frombuffer(b"".join(parts), dtype)
        return found.reshape(len(wanted), *inner)
