"""Python's search for garbage, kept away from objects that stay for as long as the process.

Importing torch makes several hundred thousand of them. Each full search walks through all of them,
which takes about a tenth of a second and finds nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search() -> Iterator[None]:
    """Inside the block nothing is searched for: imports make objects that all stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def only_new_objects_searched() -> Iterator[None]:
    """Inside the block what was there before it is left alone; what it makes is searched."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
