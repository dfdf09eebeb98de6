"""Whether files are still those that something was made of, without opening them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def fingerprint(files: Iterable[Path | str]) -> str:
    """SHA-256 that changes when a file is added, taken away, renamed, moved or rewritten.

    Raises:
        FileNotFoundError: a file is not there.
    """
    digest = hashlib.sha256()
    for file in files:
        status = os.stat(file)
        digest.update(os.fsencode(file))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
