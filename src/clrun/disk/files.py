"""Files that appear whole or not at all, and stay when the power fails."""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from clrun.disk.json_text import json_pieces
from clrun.disk.opening import open_own
from clrun.disk.secrets import hidden, hidden_text
from clrun.errors import StorageError

Content = bytes | memoryview

WRITTEN_AT_ONCE = 2**20
"""Letters of a text that is made a piece at a time."""


NO_STORAGE = (*(errno.ENOSPC, errno.EDQUOT, errno.EFBIG), errno.EROFS, errno.EIO, errno.ESTALE)
"""What a disk answers that is full, read-only or broken; of a file's name it says nothing."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Report a failure to write as one line that names the file."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """The line for a failure to write to this file."""
    return StorageError(f"{path}: {error.strerror or error}.")


def require_same(path: Path, opened: os.stat_result) -> None:
    """Refuse to go on where a name no longer leads to what was opened under it.

    Raises:
        StorageError: it, or a folder above it, was removed or renamed.
    """
    try:
        is_same = os.path.samestat(os.stat(path), opened)
    except FileNotFoundError:
        is_same = False
    except OSError as error:
        raise storage_error(error, path) from error
    if not is_same:
        raise StorageError(f"{path}: was removed or renamed while the run was writing.")


@contextmanager
def whole_file(path: Path, part: Path | None = None) -> Iterator[Callable[[Content], None]]:
    """Give a function that writes to a file, which takes the place of `path` after the block.

    A reader, or a crash, sees the old content or the new, nothing between. Until the block has
    ended well the file has a name of its own beside `path`: `part`, or one no other process has.

    Raises:
        StorageError: the disk is full, read-only or broken. The old content is intact, unless all
            went well but the last step, telling the disk about the new name. What else the block
            raises passes as it is.
    """
    with storage_errors(path):
        file, temporary = _opened(path, part)
    try:
        yield partial(_write_whole, file, path)
        with storage_errors(path):
            os.fsync(file.fileno())
            file.close()  # a disk on a network may say only now that it is full
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to report
            file.close()
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with storage_errors(path):
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a file's content alone is not enough."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What a file system answers that cannot be asked about folders, as some on networks."""


def unfinished(folder: Path, name: str) -> list[Path]:
    """What processes that were killed left of a file called like this, or by a pattern.

    Raises:
        OSError: the folder cannot be listed.
    """
    pattern = f".{name}.{'[a-z0-9_]' * 8}"
    entries = os.listdir(folder) if folder.is_dir() else []
    return [folder / entry for entry in sorted(entries) if fnmatch.fnmatchcase(entry, pattern)]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        StorageError: the disk is full, read-only or broken; the old content is intact.
    """
    with whole_file(path) as write:
        write(content)


def write_text(path: Path, text: str) -> None:
    """Write text without secrets, whole or not at all; see `write_bytes`."""
    write_bytes(path, hidden_text(text).encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON without secrets, whole or not at all; NaN is our mistake, never a value."""
    with whole_file(path) as write:
        for text in _joined(chain(json_pieces(hidden(value)), "\n")):
            write(text.encode())


def _joined(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces in a few large ones: each is a call to the system."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > WRITTEN_AT_ONCE:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


def write_all(handle: int, content: Content) -> None:
    """Write every byte to an open file; one call may write fewer.

    Raises:
        OSError: some could not be written.
    """
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _opened(path: Path, part: Path | None) -> tuple[io.FileIO, Path]:
    """A new file beside `path`, as open to others as the umask says, and its name.

    It has no buffer: what that still held after a failure would fail once more at the end.
    """
    if part is not None:
        return open_own(part, "wb"), part
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        temporary.chmod(0o666 & ~_umask())
    except BaseException:
        os.close(handle)
        temporary.unlink()
        raise
    return io.FileIO(handle, "wb"), temporary


def _write_whole(file: io.FileIO, path: Path, content: Content) -> None:
    with storage_errors(path):
        write_all(file.fileno(), content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
