"""Folders of the user's that clrun writes to besides the run folders.

All are in the user's cache folder, as each system has it: `$XDG_CACHE_HOME/clrun` or else
`~/.cache/clrun` on Linux, `~/Library/Caches/clrun` on macOS, `%LOCALAPPDATA%\\clrun\\Cache` on
Windows.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from clrun.disk.files import storage_errors
from clrun.errors import ConfigError, StorageError


def user_cache() -> Path:
    """The user's cache folder for clrun; what is in it can be made or fetched again."""
    return user_cache_path("clrun", appauthor=False).absolute()


def chosen_or_cached(variable: str, name: str) -> Path:
    """The folder that an environment variable names, or else `name` in the user's cache folder."""
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser().absolute()
    return user_cache() / name


def make_folder(folder: Path, variable: str) -> None:
    """Make a folder inside the one that an environment variable names, or could name.

    Raises:
        ConfigError: there can be no such folder, or nobody may write there.
        StorageError: the disk is full, read-only or broken.
    """
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except StorageError as error:
        if not isinstance(error.__cause__, NO_FOLDER):
            raise
        chosen = os.environ.get(variable)
        place = f"{variable}={chosen}" if chosen else f"{variable} is not set"
        raise ConfigError(
            f"{place}: {folder} cannot be made ({error.__cause__.strerror}). Let the variable name "
            "a folder that you can write to."
        ) from error


NO_FOLDER = (FileNotFoundError, NotADirectoryError, FileExistsError, PermissionError)
"""What is wrong with a name, rather than with a disk."""
