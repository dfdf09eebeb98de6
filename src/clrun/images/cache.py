"""Images decoded once, kept as one file of rows that every later run reads.

A cache is a folder `<key>-<fingerprint>/` with two files: `rows.npy` (uint8 [N, C, H, W], which
`numpy.load` opens too) and `manifest.json`, which is written last. A folder without a manifest
that fits is an unfinished one and is built again. So are rows that are no longer what was written:
the manifest has their checksum, and they are read for it once for each state of their file.

A later call opens no image while the files' sizes and times are the same, the time of the last
change included, which nobody can put back. Where that time alone differs, as for a copy made with
`cp -p`, the files are read, which is quicker than decoding them, and those of another content are
decoded again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from clrun.disk.files import storage_errors, whole_file, write_json
from clrun.disk.fingerprints import (
    Fingerprint,
    content_of,
    contents_of,
    fingerprint,
    joined_contents,
)
from clrun.disk.folders import chosen_or_cached, make_folder
from clrun.disk.locks import locked
from clrun.disk.opening import UnusualFile, read_text
from clrun.disk.space import require_space
from clrun.errors import StorageError
from clrun.images.decoding import decoded, num_threads
from clrun.images.download import Progress, file_digest
from clrun.images.mapped_rows import MappedRows, RowFile

log = logging.getLogger("clrun.note")

VERSION = 3
"""The version of the files' layout; a cache of another one is not read."""
VARIABLE = "CLRUN_CACHE"
LARGER_DISK = f"Name a folder on a larger disk in {VARIABLE}."
Item = TypeVar("Item")
Shape = tuple[int, int, int]
File = TypeVar("File", bound=Path | str)


@dataclass(frozen=True)
class Manifest:
    """The description of a finished cache."""

    version: int
    key: str
    fingerprint: str
    """SHA-256 of what the rows were made of"""
    exact: str
    """the exact fingerprint of the files they were made of"""
    contents: str | None
    """of these files; None where a row has no file of its own"""
    count: int
    shape: list[int]
    """[C, H, W] of a row"""
    rows: str | None = None
    """SHA-256 of rows.npy"""
    verified: list[int] | None = None
    """the state of that file when it last had this checksum"""


def cache_folder() -> Path:
    """The folder of all caches: $CLRUN_CACHE, or images/ in the user's cache folder for clrun."""
    return chosen_or_cached(VARIABLE, "images")


def cached_images(
    key: str,
    files: Sequence[File],
    shape: Shape,
    decode: Callable[[File], NDArray[np.uint8]],
    on_progress: Progress | None = None,
) -> MappedRows:
    """Row i is decode(files[i]), uint8 of `shape` (C, H, W); decoded by the first call only.

    `key` names what `decode` does, so that another way to decode is another cache. See
    `cached_rows`.
    """
    wanted = _manifest(key, fingerprint(files), "", len(files), shape)
    return _CacheOfFiles(wanted, files, decode).rows(on_progress)


def cached_rows(
    key: str,
    source: Fingerprint,
    items: Sequence[Item],
    shape: Shape,
    decode: Callable[[Item], NDArray[np.uint8]],
    on_progress: Progress | None = None,
    *,
    names: str = "",
) -> MappedRows:
    """Row i is decode(items[i]); found again by `key`, `shape`, and `source` and `names`, which
    tell the items.

    Processes that need the same rows at the same time build them once: the others wait.

    Raises:
        ConfigError: $CLRUN_CACHE can be no folder.
        StorageError: the cache cannot be written or read.
        Exception: what `decode` raises, as it is.
    """
    wanted = _manifest(key, source, names, len(items), shape)
    return _Cache(wanted, items, decode).rows(on_progress)


def _manifest(key: str, seen: Fingerprint, names: str, count: int, shape: Shape) -> Manifest:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", key), key
    identity = f"{VERSION} {key} {shape} {count} {seen.usual}{names}"
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return Manifest(VERSION, key, digest, seen.exact, None, count, list(shape))


class _Cache(Generic[Item]):
    """The folder that holds certain rows, or will."""

    def __init__(
        self,
        wanted: Manifest,
        items: Sequence[Item],
        decode: Callable[[Item], NDArray[np.uint8]],
    ) -> None:
        self.wanted, self.items, self.decode = wanted, items, decode
        self.folder = cache_folder() / f"{wanted.key}-{wanted.fingerprint[:16]}"
        channels, height, width = wanted.shape
        self.file = RowFile(self.folder / "rows.npy", wanted.count, (channels, height, width))
        self._digest = hashlib.sha256()
        self._is_changed = False

    def rows(self, on_progress: Progress | None) -> MappedRows:
        """The rows, built if they are not there."""
        if not self.is_there():
            self._build(on_progress)
        found = self._found()
        with storage_errors(self.file.path):
            return MappedRows(self.file, None if found is None else found.rows)

    def is_there(self) -> bool:
        """Whether the folder holds the rows that are wanted, whole."""
        found = self._found()
        return found is not None and found.exact == self.wanted.exact and self._is_intact(found)

    def finished(self) -> Manifest:
        """What is written once the rows are."""
        state = _state_of(self.file.path)
        return replace(self.wanted, rows=self._digest.hexdigest(), verified=state)

    def decoded(self, item: Item) -> NDArray[np.uint8]:
        """The row of an item."""
        return self.decode(item)

    def _found(self) -> Manifest | None:
        """The manifest of whole rows that are those wanted by their files' sizes and times."""
        try:
            found = Manifest(**json.loads(read_text(self._manifest_file)))
            size = self.file.path.stat().st_size
        except (FileNotFoundError, NotADirectoryError, UnusualFile, ValueError, TypeError):
            return None
        is_whole = size == len(_npy_header(self.wanted)) + self.file.nbytes
        exact = self.wanted.exact
        same = replace(found, exact=exact, contents=None, rows=None, verified=None)
        return found if same == self.wanted and is_whole else None

    def _is_intact(self, found: Manifest) -> bool:
        """Whether the rows are what was written; looked at once for each state of their file."""
        path = self.file.path
        with storage_errors(path):
            state = _state_of(path)
            if state == found.verified:
                return True
            if file_digest(path, "sha256") != found.rows:
                self._is_changed = True
                return False
        self._note(replace(found, verified=state))
        return True

    def _note(self, manifest: Manifest) -> None:
        """Keep what was found out; where that cannot be, it is found out the next time too."""
        with suppress(StorageError):
            write_json(self._manifest_file, asdict(manifest))

    @property
    def _manifest_file(self) -> Path:
        return self.folder / "manifest.json"

    def _build(self, on_progress: Progress | None) -> None:
        path, part = self.file.path, self.file.path.with_name("rows.part")
        make_folder(self.folder, VARIABLE)

        def show_progress(done: int) -> None:
            if on_progress:
                images, count = done * self.wanted.count // self.file.nbytes, self.wanted.count
                on_progress("building the image cache", min(images, count), count, unit="images")

        with locked(_lock_of(self.folder), lambda: show_progress(_size_of(part))):
            if self.is_there():
                return  # by the process that was waited for
            if self._is_changed:
                log.warning("%s is not what was written there, and is built again.", path)
            require_space(self.folder, self.file.nbytes, "written", LARGER_DISK)
            with storage_errors(self._manifest_file):
                self._manifest_file.unlink(missing_ok=True)  # of what the files held before
            with whole_file(path, part) as write:
                head, done = _npy_header(self.wanted), 0
                write(head)
                self._digest = hashlib.sha256(head)
                for piece in decoded(self.items, self.decoded, self.file.row_shape):
                    write(piece.data.cast("B"))
                    self._digest.update(piece.data)
                    done += piece.nbytes
                    show_progress(done)
            write_json(self._manifest_file, asdict(self.finished()))


class _CacheOfFiles(_Cache[File]):
    """Rows of which each is a file's: touched files that hold the same need not be decoded."""

    def __init__(
        self,
        wanted: Manifest,
        items: Sequence[File],
        decode: Callable[[File], NDArray[np.uint8]],
    ) -> None:
        super().__init__(wanted, items, decode)
        self._contents: dict[File, bytes] = {}

    def is_there(self) -> bool:
        """As in general; or else by what the files hold, which is noted for the next time."""
        found = self._found()
        if found is None or found.exact == self.wanted.exact:
            return found is not None and self._is_intact(found)
        if found.contents != contents_of(self.items, num_threads()):
            return False
        touched = replace(found, exact=self.wanted.exact)
        self._note(touched)
        return self._is_intact(touched)

    def finished(self) -> Manifest:
        """What is written once the rows are, with what the files held just before."""
        contents = joined_contents(self._contents[file] for file in self.items)
        return replace(super().finished(), contents=contents)

    def decoded(self, item: File) -> NDArray[np.uint8]:
        with suppress(OSError):  # of which `decode` has more to say
            self._contents[item] = content_of(item)
        return self.decode(item)


def _npy_header(manifest: Manifest) -> bytes:
    """The first bytes of a .npy file, so that `numpy.load(..., mmap_mode="r")` reads the rows."""
    buffer = io.BytesIO()
    shape = (manifest.count, *manifest.shape)
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _state_of(path: Path) -> list[int]:
    """What changes when a file is written, put in place or copied: size, times and number."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
