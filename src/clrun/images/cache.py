"""Images decoded once, kept as one file of rows that every later run reads.

A cache is a folder `<key>-<fingerprint>/` with two files: `rows.npy` (uint8 [N, C, H, W], which
`numpy.load` opens too) and `manifest.json`, which is written last. A folder without a manifest
that fits is an unfinished one and is built again.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clrun.disk.files import storage_errors, whole_file, write_json
from clrun.disk.fingerprints import fingerprint
from clrun.disk.folders import chosen_or_cached
from clrun.disk.locks import locked
from clrun.disk.space import require_space
from clrun.images.decoding import decoded
from clrun.images.download import Progress
from clrun.images.mapped_rows import MappedRows, RowFile

VERSION = 1
"""The version of the files' layout; a cache of another one is not read."""
LARGER_DISK = "Name a folder on a larger disk in CLRUN_CACHE."
Item = TypeVar("Item")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Manifest:
    """The description of a finished cache."""

    version: int
    key: str
    fingerprint: str
    """SHA-256 of what the rows were made of"""
    count: int
    shape: list[int]
    """[C, H, W] of a row"""


def cache_folder() -> Path:
    """The folder of all caches: $CLRUN_CACHE, or images/ in the user's cache folder for clrun."""
    return chosen_or_cached("CLRUN_CACHE", "images")


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
        Exception: whatever `decode` raises, unchanged.
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

    def show_progress(done: int) -> None:
        if on_progress:
            on_progress(f"{manifest.key} images", done, rows.nbytes)

    with locked(_lock_of(folder), lambda: show_progress(_size_of(part))):
        if _is_finished(folder, manifest):
            return  # by the process that was waited for
        require_space(folder, rows.nbytes, "written", LARGER_DISK)
        with whole_file(rows.path, part) as write:
            write(_npy_header(manifest))
            done = 0
            for piece in decoded(items, decode, rows.row_shape):
                write(piece.data.cast("B"))
                done += piece.nbytes
                show_progress(done)
        write_json(folder / "manifest.json", asdict(manifest))


def _npy_header(manifest: Manifest) -> bytes:
    """The first bytes of a .npy file, so that `numpy.load(..., mmap_mode="r")` reads the rows."""
    buffer = io.BytesIO()
    shape = (manifest.count, *manifest.shape)
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
