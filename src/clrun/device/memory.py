"""How much memory this machine has, to refuse what can never fit into it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from clrun.errors import ConfigError

CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""What a container on Linux may use; "max" or not there where nothing limits it."""


def physical_bytes() -> int | None:
    """The memory of this machine or container; None where the system does not say."""
    found = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ValueError, OSError):
        found.append(int(CONTAINER.read_text()))
    return min(found, default=None)


def require_memory(needed: int, what: str, way_out: str) -> None:
    """Refuse what takes more bytes than there are.

    Raises:
        ConfigError: `what` begins its line, with key and value; `way_out` is its end.
    """
    there = physical_bytes()
    if there is not None and needed > there:
        sizes = f"{in_gb(needed)}, and this machine has {in_gb(there)}"
        raise ConfigError(f"{what} would take {sizes}. {way_out}")


def in_gb(size: int) -> str:
    """Bytes for people, in the unit of memory that is sold."""
    return f"{size / 1e9:,.1f} GB"
