"""What to lower when there is not enough memory, said in one line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from clrun.config.run_config import RunConfig
from clrun.errors import ClrunError, ConfigError, OutOfMemory

SAID = re.compile(
    r"out of memory|allocate memory|not enough memory|ALLOC_FAILED|start new thread", re.IGNORECASE
)
"""How PyTorch, its libraries and Python say it, where it has no class of error of its own."""
KEYS = {
    "strategy": ("train_mb_size", "memory_mb_size", "eval_mb_size", "mem_size", "rm_sz"),
    "benchmark": ("image_size", "limit_per_class"),
    "device": ("threads",),
}
"""Keys that memory grows with, by group; of those that a run has."""


@contextmanager
def memory_errors(config: RunConfig, *, has_started: bool = True) -> Iterator[None]:
    """Name the keys to lower where the memory inside was not enough.

    Raises:
        OutOfMemory: it was not, in a run that has started.
        ConfigError: it was not, and nothing has started yet.
    """
    try:
        yield
    except ClrunError:
        raise
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        line = f"out of memory{_detail(error)}. Lower one of {', '.join(lowerable(config))}."
        raise (OutOfMemory if has_started else ConfigError)(line) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this says that there is not enough memory, in main memory or on a device."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or SAID.search(str(error)) is not None


def lowerable(config: RunConfig) -> list[str]:
    """The keys that the memory of a run grows with, as they are set."""
    found = []
    for group, keys in KEYS.items():
        values = config.nodes[group].values
        found += [f"{group}.{key}={values[key]}" for key in keys if values.get(key) is not None]
    return [*found, f"model={config.nodes['model'].option}"]


def _detail(error: BaseException) -> str:
    """How much was asked for, where the error says so."""
    asked = re.search(r"(?:allocate |Tried to allocate )(\d[\d.]* ?\w+)", str(error))
    return f" ({asked[1]} more were asked for)" if asked else ""
