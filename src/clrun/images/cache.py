"""Images decoded once, kept as one file of rows that every later run reads.

A cache is a folder `<key>-<fingerprint>/` with two files: `rows.npy` (uint8 [N, C, H, W], which
`numpy.load` opens too) and `manifest.json`, which is written last. A folder without a manifest
that fits is an unfinished one and is built again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clrun.errors import StorageError
from clrun.images.decoding import decoded
from clrun.images.download import Progress
from clrun.images.locks import locked
from clrun.images.mapped_rows import MappedRows, RowFile
from clrun.records.files import storage_errors, write_json

VERSION = 1
"""Of the files' layout; a cache of another version is not read."""
Item = TypeVar("Item")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Manifest:
    """What a finished cache holds."""

    version: int
    key: str
    fingerprint: str
    """SHA-256 of what the rows were made of"""
    count: int
    shape: list[int]
    """[C, H, W] of a row"""


def cache_folder() -> Path:
    """Where caches are: $CLRUN_CACHE, or else clrun/images in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("CLRUN_CACHE"):
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).absolute() / "clrun" / "images"


def cached_images(
    key: str,
    files: Sequence[Path],
    shape: Shape,
    decode: Callable[[Path], NDArray[np.uint8]],
    on_progress: Progress | None = None,
) -> MappedRows:
    """Row i is decode(files[i]), uint8 of `shape` (C, H, W); decoded by the first call only.

    Later calls look at each file's size and time and open none of them. `key` names what `decode`
    does, so that another way to decode is another cache. See `cached_rows`.
    """
    return cached_rows(key, fingerprint(files), files, shape, decode, on_progress)


def cached_rows(
    key: str,
    source: str,
    items: Sequence[Item],
    shape: Shape,
    decode: Callable[[Item], NDArray[np.uint8]],
    on_progress: Progress | None = None,
) -> MappedRows:
    """Row i is decode(items[i]), found again by `key`, `shape` and `source`, which tells the items.

    Processes that need the same rows at the same time build them once: the others wait.

    Raises:
        StorageError: the cache cannot be written or read.
        Exception: what `decode` raises, as it is.
    """
    assert re.fullmatch(r"[A-Za-z0-9_-]+", key), key
    digest = hashlib.sha256(f"{VERSION} {key} {shape} {len(items)} {source}".encode()).hexdigest()
    manifest = Manifest(VERSION, key, digest, len(items), list(shape))
    folder = cache_folder() / f"{key}-{digest[:16]}"
    rows = RowFile(folder / "rows.npy", len(items), shape)
    if not _is_finished(folder, manifest):
        _build(rows, manifest, items, decode, on_progress)
    with storage_errors(rows.path):
        return MappedRows(rows)


def fingerprint(files: Iterable[Path | str]) -> str:
    """Changes when a file is added, taken away, renamed, moved or rewritten; opens none.

    Raises:
        FileNotFoundError: a file is not there.
    """
    told = hashlib.sha256()
    for file in files:
        seen = os.stat(file)
        told.update(f"{file}\0{seen.st_size}\0{seen.st_mtime_ns}\n".encode())
    return told.hexdigest()


def _is_finished(folder: Path, wanted: Manifest) -> bool:
    """Whether the folder holds the rows that are wanted, whole."""
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        size = (folder / "rows.npy").stat().st_size
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return False
    payload = wanted.count * int(np.prod(wanted.shape, dtype=np.int64))
    return found == asdict(wanted) and size == len(_npy_header(wanted)) + payload


def _build(
    rows: RowFile,
    manifest: Manifest,
    items: Sequence[Item],
    decode: Callable[[Item], NDArray[np.uint8]],
    on_progress: Progress | None,
) -> None:
    folder, part = rows.path.parent, rows.path.with_name("rows.part")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)

    def told(done: int) -> None:
        if on_progress:
            on_progress(f"{manifest.key} images", done, rows.nbytes)

    with locked(_lock_of(folder), lambda: told(_size_of(part))):
        if _is_finished(folder, manifest):
            return  # by the process that was waited for
        _check_space(folder, rows.nbytes)
        try:
            _write_rows(part, manifest, decoded(items, decode, rows.row_shape), told)
            os.replace(part, rows.path)
        finally:
            part.unlink(missing_ok=True)
        write_json(folder / "manifest.json", asdict(manifest))


def _write_rows(
    part: Path,
    manifest: Manifest,
    pieces: Iterable[NDArray[np.uint8]],
    told: Callable[[int], None],
) -> None:
    """Write all rows and see them on the disk; what decoding raises is not a failure to write."""
    with storage_errors(part):
        file = part.open("wb", buffering=0)  # what a buffer still held would fail again at the end
    with file:
        _write(file, part, memoryview(_npy_header(manifest)))
        done = 0
        for piece in pieces:
            _write(file, part, piece.data.cast("B"))
            done += piece.nbytes
            told(done)
        with storage_errors(part):
            os.fsync(file.fileno())


def _write(file: io.FileIO, part: Path, content: memoryview) -> None:
    with storage_errors(part):
        while content:
            content = content[file.write(content) :]


def _npy_header(manifest: Manifest) -> bytes:
    """The first bytes of a .npy file, so that `numpy.load(..., mmap_mode="r")` reads the rows."""
    buffer = io.BytesIO()
    shape = (manifest.count, *manifest.shape)
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{folder}: {needed / 1e6:,.0f} MB are to be written, and {free / 1e6:,.0f} MB free. "
            f"Name a folder on a larger disk in CLRUN_CACHE."
        )


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
