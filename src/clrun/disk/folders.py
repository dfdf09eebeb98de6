"""Folders of the user's that clrun writes to besides the run folders.

All are in the user's cache folder, as each system has it: `$XDG_CACHE_HOME/clrun` or else
`~/.cache/clrun` on Linux, `~/Library/Caches/clrun` on macOS, `%LOCALAPPDATA%\\clrun\\Cache` on
Windows.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def user_cache() -> Path:
    """The user's cache folder for clrun; what is in it can be made or fetched again."""
    return user_cache_path("clrun", appauthor=False).absolute()


def chosen_or_cached(variable: str, name: str) -> Path:
    """The folder that an environment variable names, or else `name` in the user's cache folder."""
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser().absolute()
    return user_cache() / name
