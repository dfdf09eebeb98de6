"""Python's search for garbage, kept away from objects that stay for as long as the process.

Importing torch makes several hundred thousand of them. Each full search walks through all of them,
which takes about a tenth of a second and finds nothing.

Gain: most short runs had one such search; without it 80 updates of the small mlp take 1.02 to 1.13
of a hand-written loop's seconds instead of 1.34. Cost: garbage among older objects waits for the
end of the run.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search(*, tricks: bool) -> Iterator[None]:
    """Search nothing inside the block: imports make objects that all stay."""
    was_enabled = gc.isenabled()
    if tricks:
        gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def only_new_objects_searched(*, tricks: bool) -> Iterator[None]:
    """Leave what was there before the block alone inside it; what the block makes is searched."""
    if not tricks:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
