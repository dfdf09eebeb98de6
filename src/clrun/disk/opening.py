"""Files from elsewhere, opened so that what lies under the name can do no harm.

A FIFO would be waited for, a device read without end, a link written through. So a file is opened
first, without waiting, and then looked at: what lies under a name may change between two calls,
what is open does not.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

SMALL = 64 << 20
"""Bytes of a file that is read whole as text; ours are a thousand times smaller."""
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
READING = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
WRITING = READING | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
"""Windows has none of these but O_BINARY, and no such files."""


class UnusualFile(OSError):
    """What lies under a name is no regular file, or not only ours; `strerror` says what it is."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(errno.EINVAL, reason, str(path))


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file to read, links followed.

    Raises:
        UnusualFile: there is something else.
        OSError: it is not there, or may not be read.
    """
    return os.fdopen(regular_descriptor(path), "rb")


def open_unlinked(path: Path) -> BinaryIO:
    """Open a regular file to read, but no link to one; see `open_regular`."""
    return os.fdopen(regular_descriptor(path, getattr(os, "O_NOFOLLOW", 0)), "rb")


def regular_descriptor(path: Path | str, flags: int = 0) -> int:
    """The descriptor of a regular file opened to read; see `open_regular`."""
    try:
        handle = os.open(path, READING | flags)
    except OSError as error:
        raise _explained(error, path) from None
    _require_regular(handle, path)
    return handle


def open_own(path: Path, mode: str) -> io.FileIO:
    """Open a file of ours to write, made if it is not there: "wb" empties it, "ab" goes on.

    It has no buffer: what that still held after a failure would fail once more at the end.

    Raises:
        UnusualFile: it is a link, no regular file, or has a second name.
        OSError: it can not be made or written.
    """
    assert mode in ("wb", "ab"), mode
    handle = _own_descriptor(path, os.O_CREAT | (os.O_APPEND if mode == "ab" else 0))
    if mode == "wb":
        os.ftruncate(handle, 0)
    return io.FileIO(handle, mode)


def require_own(path: Path) -> None:
    """Refuse what others would be harmed by if it were opened to write; nothing is made.

    Raises:
        UnusualFile: it is a link, no regular file, or has a second name.
        OSError: it can not be written.
    """
    with suppress(FileNotFoundError):
        os.close(_own_descriptor(path, 0))


def read_bytes(path: Path | str, most: int = SMALL) -> bytes:
    """The content of a regular file of at most so many bytes.

    Raises:
        UnusualFile: there is something else, or more.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UnusualFile(path, f"has more than {most:,} bytes")
    return content


def read_text(path: Path | str, most: int = SMALL) -> str:
    """The content of a regular UTF-8 file; see `read_bytes`.

    Raises:
        UnicodeDecodeError: it is no such text.
    """
    return read_bytes(path, most).decode()


def own_size(path: Path) -> int:
    """Bytes of a file of ours, 0 where there is none; a link is not followed."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def kind_of(mode: int) -> str:
    """What a file is that is no regular one, for people."""
    return KINDS.get(stat.S_IFMT(mode), "no regular file")


def _own_descriptor(path: Path, flags: int) -> int:
    try:
        handle = os.open(path, WRITING | flags, 0o666)
    except OSError as error:
        raise _explained(error, path) from None
    _require_regular(handle, path)
    if os.fstat(handle).st_nlink > 1:
        os.close(handle)
        raise UnusualFile(path, "is another file's second name (a hard link)")
    return handle


def _require_regular(handle: int, path: Path | str) -> None:
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise UnusualFile(path, f"is {kind_of(mode)}, no regular file")


def _explained(error: OSError, path: Path | str) -> OSError:
    """Say of what cannot even be opened that it is no file: a socket, a link where none may be."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return error
    is_unusual = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    if error.errno == errno.ELOOP and stat.S_ISLNK(mode):
        return UnusualFile(path, "is a link, which is not followed")
    return UnusualFile(path, f"is {kind_of(mode)}, no regular file") if is_unusual else error
