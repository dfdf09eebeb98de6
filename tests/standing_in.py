"""A CUDA device that is not there: which operations of a program would wait for it.

Tensors on it compute on the CPU and say that they are on `cuda:0`, so that a program does what it
does on a GPU, and each time the host would have to wait is noted. What takes a stream, an event or
memory of a real device is not there; `tests/device/test_cuda.py` has that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from waits import Wait, where

aten = torch.ops.aten
THERE, ITS = torch.device("cuda", 0), torch.device("meta")
"""What a program calls the device, and what PyTorch does, which would start CUDA otherwise."""
SIZE_DEPENDS_ON_VALUES = (
    *(aten.nonzero, aten.masked_select, aten.bincount, aten._unique2, aten.unique_dim),
    *(aten.unique_consecutive, aten.unique_dim_consecutive),
)
ANSWERS_THE_HOST = (aten._local_scalar_dense, aten.equal, aten.is_nonzero)


class Waits(list[Wait]):
    """Notes what is waited for, and where; `sent` is what goes there without being waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Wait] = []

    def clear(self) -> None:
        super().clear()
        self.sent.clear()

    def note(self, what: str) -> None:
        self.append(Wait(what, where()))


class OnDevice(Tensor):
    """A tensor whose numbers are in another one, on the CPU."""

    numbers: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl
    is_cuda = True  # type: ignore[assignment]
    device = THERE  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, numbers: Tensor) -> OnDevice:
        wrapper: OnDevice = Tensor._make_wrapper_subclass(
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=ITS,
        )
        wrapper.numbers = numbers
        return wrapper

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of the stand-in")


class _Names(TorchFunctionMode):
    """What a program says of CUDA, as PyTorch is told it; a list that becomes a tensor there."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        if func in (torch.tensor, torch.as_tensor) and _is_there(kwargs.get("device")):
            return self._from_list(func, args, kwargs)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], OnDevice):
            args = (args[0], self._index(args[1]), *args[2:])
        if func in (Tensor.tolist, Tensor.numpy) and isinstance(args[0], OnDevice):
            args = (args[0].to("cpu"), *args[1:])
        return func(*map(_called, args), **{name: _called(x) for name, x in kwargs.items()})

    def _index(self, index: Any) -> Any:
        """The index, its lists of numbers as tensors on the device."""
        if isinstance(index, tuple):
            return tuple(map(self._index, index))
        if not isinstance(index, list):
            return index
        self.waits.note("a list of numbers takes rows")
        return torch.tensor(index).to(ITS, non_blocking=True)

    def _from_list(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        if isinstance(args[0], Tensor):
            return args[0].to(ITS, kwargs.get("dtype", args[0].dtype))
        self.waits.note("a list becomes a tensor")
        made: Tensor = func(*args, **{**kwargs, "device": "cpu"})
        return made.to(ITS, non_blocking=True)


class StandIn(TorchDispatchMode):
    """Computes for tensors on the device, and notes in `waits` what a GPU is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        wrappers = {id(t.numbers): t for t in tensors if isinstance(t, OnDevice)}
        target = kwargs.get("device")
        if not wrappers and target != ITS:
            return func(*args, **kwargs)
        self._note(func.overloadpacket, tensors, args, kwargs)
        on_cpu = {"device": torch.device("cpu")} if target == ITS else {}
        made = func(*tree_map(_numbers, args), **{**tree_map(_numbers, kwargs), **on_cpu})
        if func.overloadpacket is aten._to_copy and target is not None and target != ITS:
            return made
        return tree_map(lambda x: _wrapped(x, wrappers), made)

    def _note(self, op: Any, tensors: Sequence[Tensor], args: Any, kwargs: Any) -> None:
        if op in SIZE_DEPENDS_ON_VALUES or op in ANSWERS_THE_HOST:
            self.waits.note(str(op))
        elif op in (aten.index, aten.index_put, aten.index_put_) and _is_masked(op, args):
            self.waits.note(f"{op} by a mask")
        elif op is aten.repeat_interleave and kwargs.get("output_size") is None:
            self.waits.note(str(op))
        elif op is aten._to_copy:
            self._note_copy(tensors[0], kwargs.get("device"), kwargs.get("non_blocking", False))
        elif op is aten.copy_:
            self._note_copy(args[1], args[0].device, len(args) > 2 and args[2])
        elif any(type(t) is Tensor and t.dim() for t in tensors):
            self.waits.note(f"{op} of a tensor on the host")

    def _note_copy(self, source: Tensor, target: torch.device | None, is_quick: bool) -> None:
        """A copy to the host is waited for; one from there unless it says that it need not be."""
        if target is None:
            return
        comes, goes = isinstance(source, OnDevice), _is_there(target) or target == ITS
        if comes and not goes:
            self.waits.note("a copy to the host")
        elif goes and not comes and not is_quick:
            self.waits.note("a copy from the host")
        elif goes and not comes:
            self.waits.sent.append(Wait("a copy from the host", where()))


@contextmanager
def standing_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """Inside, `cuda:0` can be computed on, and has room; what is noted of it."""
    monkeypatch.setattr("clrun.device.rows._memory", lambda device: (2**40, 2**40))
    monkeypatch.setattr(torch.cuda, "default_generators", (torch.Generator(),))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: None)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    device = StandIn()
    with device, _Names(device.waits):
        yield device.waits


def _is_there(device: object) -> bool:
    named = torch.device(device) if isinstance(device, str) else device
    return isinstance(named, torch.device) and named.type == "cuda"


def _called(x: object) -> object:
    return ITS if isinstance(x, torch.device | str) and str(x).startswith("cuda") else x


def _is_masked(op: Any, args: Any) -> bool:
    """Whether a mask chooses: one that is filled with a single number is not waited for."""
    masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
    return bool(masks) and not (op is aten.index_put_ and args[2].dim() == 0)


def _numbers(x: object) -> object:
    return x.numbers if isinstance(x, OnDevice) else x


def _wrapped(x: object, wrappers: dict[int, OnDevice]) -> object:
    if not isinstance(x, Tensor):
        return x
    return wrappers[id(x)] if id(x) in wrappers else OnDevice(x)
