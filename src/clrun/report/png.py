"""Small pictures as part of a page: PNG in a few lines, with nothing but zlib."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def data_address(pixels: Pixels) -> str:
    """A picture [height, width] of greys or [height, width, 3] of colours, in an address."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def png(pixels: Pixels) -> bytes:
    """The file of a picture."""
    height, width = pixels.shape[:2]
    kind = 2 if pixels.ndim == 3 else 0
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each begins with "no filter"
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, content)
        for name, content in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def strip(images: NDArray[np.uint8], gap: int = 1) -> Pixels:
    """Images [n, channels, height, width] beside each other, as greys or colours."""
    count, channels, height, width = images.shape
    found = np.full((height, count * (width + gap) - gap, channels), 127, np.uint8)
    for place, image in enumerate(images):
        left = place * (width + gap)
        found[:, left : left + width] = image.transpose(1, 2, 0)
    return found[:, :, 0] if channels == 1 else found


def shrunk(images: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Images [n, channels, height, width] with no side above `most`: means of squares."""
    factor = -(-max(images.shape[2:]) // most)
    if factor == 1:
        return images
    height, width = (side // factor * factor for side in images.shape[2:])
    cut = images[:, :, :height, :width].astype(np.uint32)
    count, channels = cut.shape[:2]
    squares = cut.reshape(count, channels, height // factor, factor, width // factor, factor)
    return squares.mean(axis=(3, 5)).round().astype(np.uint8)


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )
