"""A run's state as one file in the safetensors format, and back. Loading executes nothing.

The file holds every tensor under the path it has in the state, and in one more of bytes, `TREE`, a
JSON text of what is around them. That text is no part of the format's header, which has a limit.

safetensors' own writer wants all of a file in memory, twice: 200 MB of latents to replay took 600.
So one tensor after another is written here; reading, which meets foreign files, is the library's.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

TREE = "(tree)"
"""The name of the tensor with the JSON text; no path in a state has parentheses around it."""

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
"""What the format calls them."""

LONGEST_INTEGER = 10_000
"""Bits; Python reads no longer ones from a text."""


PLAIN = {float, str, bool, type(None)}
"""What JSON has as it is; that of Python has NaN and infinity too."""


class CannotBeSaved(Exception):
    """A state holds something that is neither a tensor nor a plain value."""


class Damaged(Exception):
    """A file is not the file of a state."""


def write_state(state: Any, write: Callable[[memoryview], None]) -> None:
    """Write a state, piece by piece; nothing if it cannot be saved.

    Raises:
        CannotBeSaved: with the path of what cannot.
    """
    tensors: dict[str, Tensor] = {}
    try:
        tree = json.dumps(_plain(state, "state", tensors)).encode()
    except RecursionError:
        raise CannotBeSaved("state: is nested too deeply, or holds itself.") from None
    tensors[TREE] = torch.frombuffer(bytearray(tree), dtype=torch.uint8)
    # wide elements first, so that each begins at a multiple of its size
    ordered = dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))
    write(memoryview(_header(ordered)))
    for tensor in ordered.values():
        write(_bytes_of(tensor))


def read_state(content: bytes) -> Any:
    """The state in the content of a file; its tensors are contiguous and on the CPU.

    Raises:
        Damaged: it is not such a file.
    """
    try:
        tensors = safetensors.torch.load(content)
        tree = json.loads(tensors[TREE].numpy().tobytes())
        return _restored(tree, tensors)
    except READING_ERRORS as error:
        raise Damaged(f"{type(error).__name__}: {error}") from error


READING_ERRORS = (
    *(safetensors.SafetensorError, KeyError, ValueError, TypeError, AttributeError, IndexError),
    *(RecursionError, binascii.Error, RuntimeError),
)
"""What a file that is no state's brings up in the library, and in what follows the tree."""


def _plain(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """The value in JSON's own types; tensors go to `tensors`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        if value.bit_length() > LONGEST_INTEGER:
            raise CannotBeSaved(f"{path}: an integer of {value.bit_length()} bits cannot be saved.")
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, Tensor):
        return {"tensor": _named(value, path, tensors)}
    return _plain_container(value, path, tensors)


def _plain_container(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        if set(map(type, value)) <= PLAIN:  # rows of accuracies
            return value
        return [_plain(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": _plain(list(value), path, tensors)}
    if isinstance(value, Mapping):
        return {"dict": list(_pairs(value, path, tensors))}
    kinds = "tensors, numbers, texts, bytes, lists, tuples and dicts of them can"
    raise CannotBeSaved(f"{path}: a {_kind(value)} cannot be saved; {kinds}.")


def _pairs(
    mapping: Mapping[Any, Any], path: str, tensors: dict[str, Tensor]
) -> Iterator[tuple[Any, Any]]:
    for key, item in mapping.items():
        if type(key) not in (str, int):
            wrong = f"a {_kind(key)} as a key, {key!r}, cannot be saved"
            raise CannotBeSaved(f"{path}: {wrong}; texts and integers can.")
        yield key, _plain(item, f"{path}/{key}", tensors)


def _named(tensor: Tensor, path: str, tensors: dict[str, Tensor]) -> str:
    """The name under which a tensor is in the file: its path."""
    if tensor.dtype not in DTYPES or tensor.layout != torch.strided or tensor.is_meta:
        kind = f"tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise CannotBeSaved(f"{path}: a {kind} cannot be saved.")
    name = base = path.encode(errors="backslashreplace").decode()
    count = 1
    while name in tensors:  # {1: ...} beside {"1": ...}
        count += 1
        name = f"{base} ({count})"
    tensors[name] = tensor
    return name


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    """The header of a safetensors file: its length, and where each tensor is in what follows."""
    entries, start = {}, 0
    for name, tensor in tensors.items():
        end = start + tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        entries[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": shape,
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes_of(tensor: Tensor) -> memoryview:
    """The elements of a tensor, whichever device, layout and view it has."""
    dense = tensor.detach().resolve_neg().to("cpu").contiguous()
    flat = dense.as_strided((dense.numel(),), (1,))  # of one or none, strides may say anything
    return flat.view(torch.uint8).numpy().data


def _restored(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `_plain` was given."""
    if isinstance(node, list):
        return [_restored(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "dict":
        return {key: _restored(item, tensors) for key, item in content}
    return _RESTORED[kind](content, tensors)


_RESTORED: dict[str, Callable[[Any, Mapping[str, Tensor]], Any]] = {
    "tuple": lambda content, tensors: tuple(_restored(content, tensors)),
    "tensor": lambda content, tensors: tensors[content],
    "bytes": lambda content, _: base64.b64decode(content, validate=True),
}


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
