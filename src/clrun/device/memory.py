"""How much memory this machine has, to refuse what can never fit into it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from clrun.errors import ConfigError

CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""What a container on Linux may use; "max" or not there where nothing limits it."""
OLD_CONTAINER = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""The same on older systems."""
GROUP = Path("/proc/self/cgroup")
"""Names the group of this process: a batch system gives each job one, inside the container's."""


def physical_bytes() -> int | None:
    """The memory of this machine or container; None where the system does not say."""
    found = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in (CONTAINER, OLD_CONTAINER, *_of_group()):
        with suppress(ValueError, OSError):
            found.append(int(limit.read_text()))
    with suppress(ImportError, ValueError, OSError):
        import resource  # Windows has none

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)  # what `ulimit -v` set
        if soft != resource.RLIM_INFINITY:
            found.append(soft)
    return min(found, default=None)


def _of_group() -> list[Path]:
    """The limits of this process's group and of those around it."""
    try:
        lines = GROUP.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    inner = next((line[3:] for line in lines if line.startswith("0::/")), "/")
    place = CONTAINER.parent / inner.lstrip("/")
    folders = [place, *place.parents]
    return [folder / CONTAINER.name for folder in folders if CONTAINER.parent in folder.parents]


def require_memory(needed: int, what: str, way_out: str, there: int | None = None) -> None:
    """Refuse what takes more bytes than there are: `there`, or those of this machine.

    Raises:
        ConfigError: `what` begins its line, with key and value; `way_out` is its end.
    """
    there = physical_bytes() if there is None else there
    if there is not None and needed > there:
        sizes = f"{in_gb(needed)}, and this machine has {in_gb(there)}"
        raise ConfigError(f"{what} would take {sizes}. {way_out}")


def in_gb(size: int) -> str:
    """Bytes for people, in the unit of memory that is sold."""
    return f"{size / 1e9:,.1f} GB"
