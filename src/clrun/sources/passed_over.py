"""What lies among one's own images and is none of them: system files, and clrun's own folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clrun.images.image_files import SUFFIXES

SYSTEM = frozenset(
    {
        # network storage: Synology, QNAP, Netatalk
        "@eadir",
        "@synoresource",
        "@tmp",
        "@sharebin",
        "@recycle",
        "@recently-snapshot",
        "@transcode",
        "#recycle",
        "#snapshot",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        # Windows
        "$recycle.bin",
        "recycler",
        "recycled",
        "system volume information",
        "found.000",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "picasa.ini",
        # macOS, Linux, Python
        "__macosx",
        "icon\r",
        "lost+found",
        "__pycache__",
    }
)
"""Names of folders and files that a system made, in any case; those with a dot are all hidden."""
FROM_ELSEWHERE = (":zone.identifier", "@synoeastream", "@synoresource")
"""Ends of names under which a system keeps what it knows of the file of that name."""
RECORDS = (".hydra", "run.json", "multirun.yaml", "sweep.jsonl")
"""What a folder of runs holds, at some depth."""
DEPTH = 4
"""Folders down to the deepest run in an output folder: multirun/DATE/TIME/JOB."""


def is_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or was made by a system."""
    name = name.casefold()
    return name.startswith(".") or name in SYSTEM or name.endswith(FROM_ELSEWHERE)


def holds_runs(folder: Path, depth: int = DEPTH) -> bool:
    """Whether a folder is one that clrun or Hydra wrote runs to; never one with images in it."""
    below = []
    with _readable(folder) as entries:
        for entry in entries:
            if entry.name in RECORDS:
                return True
            if entry.name.lower().endswith(SUFFIXES):
                return False
            if depth and entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
    return any(holds_runs(path, depth - 1) for path in below)


@contextmanager
def _readable(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """The entries of a folder; none if it may not be read, which its reader will tell."""
    try:
        entries = os.scandir(folder)
    except OSError:
        yield iter(())
        return
    with entries:
        yield entries
