"""Whether files are still those that something was made of, without opening them if it may be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from threading import Event
from typing import NamedTuple

from clrun.disk.opening import open_regular

AT_ONCE = 1 << 20
"""Bytes of a file that are read together."""
PIECE = 256
"""Files in one piece of work: handing over each alone would cost more than reading it."""


class Fingerprint(NamedTuple):
    """SHA-256 of what a directory says of files."""

    usual: str
    """changes when a file is added, taken away, renamed, moved or rewritten"""
    exact: str
    """changes also when it is rewritten and its size and time are put back, as `cp -p`, `rsync -t`
    and archives do; then again when it is only copied, or its permissions change"""


def fingerprint(files: Iterable[Path | str]) -> Fingerprint:
    """What is to be the same while files are; opens none of them.

    The exact one is of the time of a file's last change, which no program can set. A file system
    that keeps no such time (FAT, some network shares) hides what `exact` would show.

    Raises:
        FileNotFoundError: a file is not there.
    """
    usual, exact = hashlib.sha256(), hashlib.sha256()
    for file in files:
        status = os.stat(file)
        usual.update(os.fsencode(file))
        usual.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        exact.update(f"{status.st_ctime_ns}\n".encode())
    return Fingerprint(usual.hexdigest(), exact.hexdigest())


def content_of(file: Path | str) -> bytes:
    """Sixteen bytes that are the same for files of equal content."""
    digest = hashlib.blake2b(digest_size=16)
    with open_regular(file) as opened:
        while piece := opened.read(AT_ONCE):
            digest.update(piece)
    return digest.digest()


def contents_of(files: Sequence[Path | str], threads: int) -> str:
    """The contents of all files, in order; reads every byte."""
    pieces = [files[start : start + PIECE] for start in range(0, len(files), PIECE)]
    is_over = Event()

    def contents(piece: Sequence[Path | str]) -> list[bytes]:
        return [content_of(file) for file in piece if not is_over.is_set()]

    with ThreadPoolExecutor(threads) as pool:
        try:
            return joined_contents(chain.from_iterable(pool.map(contents, pieces)))
        finally:
            is_over.set()
            pool.shutdown(cancel_futures=True)


def joined_contents(contents: Iterable[bytes]) -> str:
    """What `contents_of` gives for all files, from what `content_of` gave for each."""
    return hashlib.sha256(b"".join(contents)).hexdigest()
