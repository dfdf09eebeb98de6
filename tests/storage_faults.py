"""Disks that fail at a chosen moment, for tests: when a certain file is about to be opened."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Fault = Callable[[Path], None]
"""Makes the disk of this folder fail."""

_watched: list[Callable[[str, int], None]] = []


def _on_open(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes | os.PathLike):
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        for watch in list(_watched):
            watch(os.fsdecode(arguments[0]), flags)


sys.addaudithook(_on_open)  # there is no taking it away: it asks whether anybody watches


@contextmanager
def opened(watch: Callable[[str, int], None]) -> Iterator[None]:
    """Call `watch` with the path and the flags of each file that is about to be opened."""
    _watched.append(watch)
    try:
        yield
    finally:
        _watched.remove(watch)


@contextmanager
def failing_at(name: str, fault: Fault, folder: Path) -> Iterator[list[str]]:
    """Let the disk of a folder fail when a file whose path has `name` in it is to be opened there.

    The list has that path, once it happened.
    """
    happened: list[str] = []

    def watch(path: str, _flags: int) -> None:
        if not happened and name in path and path.startswith(str(folder)):
            happened.append(path)
            fault(folder)

    with opened(watch):
        yield happened


def full(folder: Path) -> None:
    """Use every byte that is left."""
    with open(folder.parent / "filler", "wb", buffering=0) as filler:
        for size in (4096, 1):
            with suppress(OSError):
                while filler.write(b"x" * size):
                    pass


def without_inodes(folder: Path) -> None:
    """Use every file that is left."""
    (folder.parent / "fillers").mkdir(exist_ok=True)
    with suppress(OSError):
        for number in range(100_000):
            (folder.parent / "fillers" / str(number)).touch()


def emptied(disk: Path) -> None:
    """Give back what was used up."""
    (disk / "filler").unlink(missing_ok=True)
    shutil.rmtree(disk / "fillers", ignore_errors=True)


def limited(_folder: Path) -> None:
    """Let no file of this process grow, as a limit on files does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name(f"{folder.name}-elsewhere"))


class Broken:
    """A disk that answers with this error to all that would change it, from now on."""

    def __init__(self, code: int) -> None:
        self.code = code
        self._before = {name: getattr(os, name) for name in ("write", "fsync", "replace", "mkdir")}
        self._folder = ""

    def __call__(self, folder: Path) -> None:
        self._folder = str(folder)
        _watched.append(self._refuse_opening)
        for name, function in self._before.items():
            setattr(os, name, self._refusing(function))

    def mend(self) -> None:
        if self._refuse_opening in _watched:
            _watched.remove(self._refuse_opening)
        for name, function in self._before.items():
            setattr(os, name, function)

    def _refuse_opening(self, path: str, flags: int) -> None:
        if path.startswith(self._folder) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(self.code, os.strerror(self.code), path)

    def _refusing(self, function: Callable[..., object]) -> Callable[..., object]:
        def refusing(target: object, *more: object, **keywords: object) -> object:
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            if str(path).startswith(self._folder):
                raise OSError(self.code, os.strerror(self.code))
            return function(target, *more, **keywords)

        return refusing


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A disk of its own in memory, mounted at a new folder.

    Raises:
        PermissionError: this process may not mount.
    """
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise PermissionError("there is no `mount`") from error
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
