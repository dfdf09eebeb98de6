"""Whether there is room on a disk, before anything is written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from clrun.errors import StorageError


def require_space(folder: Path, needed: int, purpose: str, way_out: str = "") -> None:
    """Refuse to begin what a disk has no room for.

    `needed` is in bytes; `purpose` says what is to be done with them ("downloaded").

    Raises:
        StorageError: the disk of `folder` has fewer bytes free; `way_out` is the message's end.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        sizes = f"{needed / 1e6:,.0f} MB are to be {purpose}, and {free / 1e6:,.0f} MB free."
        raise StorageError(f"{folder}: {sizes} {way_out}".rstrip())
