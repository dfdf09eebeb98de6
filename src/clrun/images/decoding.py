"""Decode many images at the same time and hand them on in order, holding a few at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import takewhile
from threading import Event
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clrun.images.files import DamagedFile, DamagedFiles

Item = TypeVar("Item")
CHUNK = 64
"""Images in one piece of work: enough that handing it over costs nothing beside decoding it."""
AHEAD = 2
"""Pieces of work in flight for each thread; bounds the memory where writing is the slower part."""


def decoded(
    items: Sequence[Item], decode: Callable[[Item], NDArray[np.uint8]], shape: tuple[int, ...]
) -> Iterator[NDArray[np.uint8]]:
    """The items' arrays in order, [n, *shape] uint8 at a time.

    Threads, not processes: Pillow lets go of Python's lock while it decodes.

    Raises:
        DamagedFiles: at the end, so that all are known at once; until then they are black.
        Exception: whatever else `decode` raises, as it is, and what was not started is not.
    """
    threads, is_over = num_threads(), Event()
    damaged: dict[int, DamagedFile] = {}

    def piece(start: int) -> NDArray[np.uint8]:
        chosen = items[start : start + CHUNK]
        images = np.empty((len(chosen), *shape), np.uint8)
        # a piece of photographs takes seconds, which nobody waits for who is interrupted
        wanted = takewhile(lambda _: not is_over.is_set(), zip(images, chosen, strict=True))
        for k, (image, item) in enumerate(wanted, start):
            try:
                pixels = decode(item)
            except DamagedFile as error:
                damaged[k] = error
                image[:] = 0
                continue
            assert pixels.shape == shape, (pixels.shape, shape)
            assert pixels.dtype == np.uint8, pixels.dtype
            image[:] = pixels
        return images

    with ThreadPoolExecutor(threads) as pool:
        flying: deque[Future[NDArray[np.uint8]]] = deque()
        try:
            for start in range(0, len(items), CHUNK):
                flying.append(pool.submit(piece, start))
                if len(flying) > AHEAD * threads:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            is_over.set()
            pool.shutdown(cancel_futures=True)
    if damaged:
        raise DamagedFiles(damaged)


def num_threads() -> int:
    """The number of processors that this process may use at once."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
