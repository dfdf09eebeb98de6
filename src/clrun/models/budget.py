"""How much memory a model may take while it is made: too much is refused before it is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch

from clrun.models.dispatching import Watching

aten = torch.ops.aten
FACTORIES = {aten.empty, aten.zeros, aten.ones, aten.rand, aten.randn}
"""Operators that make a tensor of a size; their first argument is the size."""


Refuse = Callable[[int], Exception]
"""A function from the bytes that would be taken to the error that says so."""


@contextmanager
def budget(most: int, refuse: Refuse) -> Iterator[None]:
    """Let what is made inside the block take at most so many bytes.

    To fill a tensor with random numbers takes seconds for each gigabyte, and a system that lends
    more memory than it has ends the process in the middle of it.

    Raises:
        What `refuse` gives, before the tensor that goes beyond it is made.
    """
    with _Budget(most, refuse):
        yield


class _Budget(Watching):
    def __init__(self, most: int, refuse: Refuse) -> None:
        super().__init__()
        self.most, self.refuse, self.taken = most, refuse, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket in FACTORIES and _is_in_memory(kwargs):
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            self.taken += prod(args[0]) * dtype.itemsize
            if self.taken > self.most:
                raise self.refuse(self.taken)
        return func(*args, **kwargs)


def _is_in_memory(kwargs: dict[str, Any]) -> bool:
    device = kwargs.get("device")
    return device is None or torch.device(device).type == "cpu"
