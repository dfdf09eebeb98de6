"""Memory that the process keeps for the time of a run instead of giving it back at every step.

Activations and gradients are made and freed at each update. glibc gets large ones from the system
one by one (above 32 MiB always) and returns them at once, and the system clears each page again.

Gain: up to a quarter of a convolutional network's time, since an update reuses the last one's
pages. Cost: three options of glibc, set through ctypes for the whole process. The peak stays what
it was but for fragmentation, and the end of the run gives all back.
"""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""The names of glibc's options, from its malloc.h."""
USUAL = {TRIM_THRESHOLD: 128 * 1024, TOP_PAD: 128 * 1024, MMAP_MAX: 65536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20, MMAP_MAX: 0}


def give_back() -> None:
    """Return to the system what nothing uses any more, garbage in cycles too."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def kept_heap(*, tricks: bool) -> Iterator[None]:
    """Keep freed memory with the process inside the block; with another C library, do nothing."""
    libc = ctypes.CDLL(None) if tricks and platform.libc_ver()[0] == "glibc" else None
    if libc is None:
        yield
        return
    _set(libc, KEPT)
    try:
        yield
    finally:
        _set(libc, USUAL)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, options: dict[int, int]) -> None:
    for name, value in options.items():
        libc.mallopt(name, value)
