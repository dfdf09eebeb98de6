"""Damaged image files: all of them at once, and rows without them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from clrun.disk.checked_json import read_checked_json, write_checked_json
from clrun.disk.files import storage_errors
from clrun.disk.fingerprints import fingerprint
from clrun.images.cache import cache_folder
from clrun.images.decoding import decoded
from clrun.images.files import DamagedFile, DamagedFiles, some
from clrun.images.image_files import verified
from clrun.sources.class_names import BadRows
from clrun.sources.labelled_rows import LabelledRows

VERSION = 2


def damaged_files(files: Sequence[Path]) -> dict[int, DamagedFile]:
    """What is wrong with each file that cannot be decoded, by its place; decodes them all."""
    try:
        for _ in decoded(files, verified, (0,)):
            pass
    except DamagedFiles as error:
        return error.damaged
    return {}


def without_damaged(
    files: tuple[Path, ...], rows: LabelledRows
) -> tuple[tuple[Path, ...], LabelledRows, list[str]]:
    """The whole files with their rows, and what is wrong with each of the others.

    Which are damaged is remembered until a file changes.

    Raises:
        BadRows: none is whole.
        StorageError: it cannot be remembered.
    """
    damaged = _remembered(files)
    if len(damaged) == len(files):
        raise BadRows(f"no file can be decoded: {some(list(damaged.values()), '; ')}. Repair them")
    whole = [k for k in range(len(files)) if k not in damaged]
    return tuple(files[k] for k in whole), rows.at(torch.tensor(whole)), list(damaged.values())


def _remembered(files: Sequence[Path]) -> dict[int, str]:
    key = hashlib.sha256(
        f"{VERSION} {fingerprint(files).exact} {fingerprint(files).usual}".encode()
    ).hexdigest()
    place = cache_folder() / "damaged" / f"{key}.json"
    if (remembered := read_checked_json(place)) is not None:
        return {int(k): str(reason) for k, reason in remembered.items()}
    found = {k: str(error) for k, error in damaged_files(files).items()}
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    write_checked_json(place, {str(k): reason for k, reason in found.items()})
    return found
