"""Files of weights, read without running anything that is in them.

A file is opened once: what was hashed is what is read. PyTorch's files are read as weights only,
and a file that cannot be read so is refused; there is no second way that would unpickle it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from clrun.device.memory import require_memory
from clrun.disk.opening import UnusualFile, open_regular
from clrun.errors import ConfigError

KEY = "model.pretrained"
GIVE = "Give a file of weights, or the folder of a run."
AT_ONCE = 1 << 20
DAMAGED = (
    SafetensorError,
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AssertionError,
    AttributeError,
    TypeError,
)
"""What is raised by reading a file that is damaged or something else."""


class StateFile(NamedTuple):
    """What a file of weights holds, and what tells it from any other."""

    state: dict[str, Tensor]
    path: Path
    sha256: str


def read_state(path: Path, expected: Callable[[str], None] | None = None) -> StateFile:
    """The state dict in a file of torch.save or of safetensors.

    `expected` is called with the file's SHA-256 before anything of it is read.

    Raises:
        ConfigError: the file cannot be read, or holds something else than plain tensors by name.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            require_memory(size, f"{KEY}={path}: reading it", "Give a file of weights.")
            sha256 = _sha256(file)
            if expected is not None:
                expected(sha256)
            state = _loaded(file, path)
    except UnusualFile as error:
        raise ConfigError(f"{KEY}={path}: {error.strerror}. {GIVE}") from error
    except OSError as error:
        raise ConfigError(f"{KEY}={path}: {error.strerror}. {GIVE}") from error
    if not isinstance(state, dict) or not all(map(_is_named_tensor, state.items())):
        raise ConfigError(
            f"{KEY}={path}: holds no state dict (names to tensors). "
            "Save one with torch.save(model.state_dict(), path)."
        )
    _require_plain(state, path)
    return StateFile(state, path, sha256)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(AT_ONCE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _loaded(file: BinaryIO, path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(file.read())
        return torch.load(file, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        if path.suffix == ".safetensors":
            reason = "not a whole .safetensors file. Save one with safetensors.torch.save_file"
            raise ConfigError(f"{KEY}={path}: {reason}(model.state_dict(), path).") from error
        raise ConfigError(
            f"{KEY}={path}: not a file that torch.load(weights_only=True) can read. "
            "Save one with torch.save(model.state_dict(), path)."
        ) from error


def _is_named_tensor(entry: tuple[Any, Any]) -> bool:
    name, value = entry
    return isinstance(name, str) and isinstance(value, Tensor)


def _require_plain(state: dict[str, Tensor], path: Path) -> None:
    """Refuse tensors without values of their own at every place.

    Raises:
        ConfigError: with the name of the first.
    """
    for name, tensor in state.items():
        if not _is_plain(tensor):
            raise ConfigError(
                f"{KEY}={path}: {name} is no plain tensor on the CPU (sparse, quantized, nested or "
                "without values). Save one with torch.save(model.state_dict(), path)."
            )


def _is_plain(tensor: Tensor) -> bool:
    is_strided = tensor.layout == torch.strided and not tensor.is_nested
    return is_strided and not tensor.is_quantized and tensor.device.type == "cpu"
