"""Generated image files, for measuring how they are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

DISTINCT = 64


def write_images(files: Sequence[Path], side: int) -> None:
    """Write hard links to 64 generated images, each about as large as a photograph's PNG."""
    for k, path in enumerate(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        if k < DISTINCT:
            noise = np.random.default_rng(k).integers(100, 130, (side, side, 3))
            Image.fromarray(noise.astype(np.uint8)).save(path)
        else:
            os.link(files[k % DISTINCT], path)


def blank(files: Sequence[Path]) -> None:
    """Put zeros into files of `write_images` whose sizes and times stay: no image is left."""
    for path in files[:DISTINCT]:
        seen = path.stat()
        path.write_bytes(bytes(seen.st_size))
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
