"""Find, check and fetch a source's files under `benchmark.data_root`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from clrun.disk.folders import chosen_or_cached
from clrun.disk.opening import UnusualFile, open_regular
from clrun.errors import ConfigError
from clrun.images.download import DownloadError, Progress, fetch, file_digest
from clrun.records.run_folder import require_writable


class Remote(NamedTuple):
    """A published file and how to recognise it."""

    url: str
    sha256: str | None
    size: int | None
    """bytes"""
    md5: str | None = None
    """where its publishers give no SHA-256"""

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class DamagedFile(Exception):
    """A data file is not what its name says; the message starts with the file's name."""


class DamagedFiles(DamagedFile):
    """All that are damaged of many files, by their place in the list; ten of them are named."""

    def __init__(self, damaged: Mapping[int, DamagedFile]) -> None:
        self.damaged = dict(sorted(damaged.items()))
        reasons = [str(error) for error in self.damaged.values()]
        super().__init__(
            reasons[0]
            if len(reasons) == 1
            else f"{len(reasons)} files are damaged: {some(reasons, '; ')}"
        )


MOST_NAMED = 10
"""Things with one fault that a message names."""


def some(things: Sequence[str], between: str = ", ") -> str:
    """The first ten of them, and how many more there are."""
    more = len(things) - MOST_NAMED
    return between.join(things[:MOST_NAMED]) + (f"{between}and {more} more" if more > 0 else "")


VARIABLE = "CLRUN_DATA"
"""Names the folder of all data where `benchmark.data_root` is null."""


def data_folder(data_root: str | None) -> Path:
    """The folder that `benchmark.data_root` means, absolute; null is a folder of the user's.

    That is $CLRUN_DATA, or else data/ in the user's cache folder for clrun.
    """
    if data_root is not None:
        return Path(data_root).expanduser().absolute()
    return chosen_or_cached(VARIABLE, "data")


def folder_of(root: Path, layouts: Sequence[str], names: Sequence[str]) -> Path:
    """The first of root/layout that holds one of the files; the first layout if none does."""
    folders = [root / layout for layout in layouts]
    for folder in folders:
        if any((folder / name).is_file() for name in names):
            return folder
    return folders[0]


def check_root(root: Path, *, download: bool) -> None:
    """Refuse what is no folder to read from, nor one that can be made.

    Raises:
        ConfigError, StorageError: with the key or the variable that names it.
    """
    if not root.exists():
        if not download:
            raise bad_root(root, "there is no such folder", _GET_IT)
        key, value = _named_by(root)
        require_writable(key, value)
    elif not root.is_dir():
        raise bad_root(root, "is a file, not a folder", "Name the folder that the files are in")
    elif not os.access(root, os.R_OK | os.X_OK):
        raise bad_root(root, "may not be read", "Change its permissions, or copy it")


def check_present(root: Path, folder: Path, missing: Sequence[str], *, download: bool) -> None:
    """Raise ConfigError if files are missing and may not or cannot be fetched into `folder`."""
    if not missing:
        return
    wanted = folder.relative_to(root) / missing[0]
    others = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
    if not download:
        raise bad_root(root, f"{wanted}{others} missing", _GET_IT)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        reason = f"{wanted}{others} missing, and {existing} may not be written to"
        raise bad_root(root, reason, "Put the files there, or choose another folder")


def check_readable(path: Path) -> None:
    """Raise DamagedFile unless there are bytes to read at `path`."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except PermissionError:
        raise DamagedFile(f"{path.name} may not be read (permissions)") from None
    except UnusualFile as error:
        raise DamagedFile(f"{path.name} {error.strerror}") from None
    except OSError:
        raise DamagedFile(f"{path.name} is not a file") from None
    if size == 0:
        raise DamagedFile(f"{path.name} is empty")


def check_published(path: Path, *, sha256: str | None = None, md5: str | None = None) -> None:
    """Raise DamagedFile unless the file has the checksum that was published."""
    for algorithm, published in (("sha256", sha256), ("md5", md5)):
        if published is not None and file_digest(path, algorithm) != published:
            name = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
            raise DamagedFile(f"{path.name} is damaged or not the published file ({name} differs)")


@contextmanager
def named_root(root: Path) -> Iterator[None]:
    """Turn DamagedFile, and a file that cannot be read, into the user's one line."""
    try:
        yield
    except DamagedFile as error:
        way_out = "Delete it and run with benchmark.download=true, or name another folder"
        raise bad_root(root, str(error), way_out) from error
    except UnusualFile as error:
        reason = f"{Path(error.filename).name} {error.strerror}"
        raise bad_root(root, reason, "Put a regular file there") from error
    except OSError as error:
        reason = f"{Path(error.filename or root).name} cannot be read ({error.strerror})"
        raise bad_root(root, reason, "Change its permissions, or copy the folder") from error


def fetch_missing(
    root: Path, folder: Path, remotes: Sequence[Remote], on_progress: Progress | None
) -> None:
    """Fetch `remotes` into `folder`, one after another; a failure says where to put the file."""
    for remote in remotes:
        wanted = folder / remote.name
        try:
            fetch(
                remote.url,
                wanted,
                sha256=remote.sha256,
                md5=remote.md5,
                size=remote.size,
                on_progress=on_progress,
            )
        except DownloadError as error:
            raise DownloadError(
                f"benchmark.data_root={root}: {wanted.relative_to(root)} is not there, and "
                f"{error} Put it there, or run once online."
            ) from error


def bad_root(root: Path, reason: str, way_out: str) -> ConfigError:
    """The one line for anything wrong below the folder of the data."""
    return ConfigError(f"{'='.join(_named_by(root))}: {reason}. {way_out}.")


def _named_by(root: Path) -> tuple[str, str]:
    """The key, or the variable that stands in for it, and the folder that it names."""
    chosen = os.environ.get(VARIABLE)
    if chosen and root == data_folder(None):
        return VARIABLE, chosen
    return "benchmark.data_root", str(root)


_GET_IT = "Put the files there, or run with benchmark.download=true"
