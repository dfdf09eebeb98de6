"""The process as a run is fastest in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clrun.device.device import Device
from clrun.fast.garbage import only_new_objects_searched
from clrun.fast.heap import kept_heap


@contextmanager
def quick_process(device: Device) -> Iterator[None]:
    """Keep the heap of a run on the CPU, and search for garbage among its own objects only."""
    on_cpu = device.torch.type == "cpu"
    with (
        only_new_objects_searched(tricks=device.tricks),
        kept_heap(tricks=device.tricks and on_cpu),
    ):
        yield
