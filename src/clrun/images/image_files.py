"""Image files to uint8 arrays: what each kind of file becomes, and which are refused.

grey, grey with alpha, 1 bit   one channel
everything else                three channels (palette, CMYK and YCbCr are converted)
16 bits                        divided by 257, so that white stays white
alpha                          laid over black, which is also what a crop sees over the border
EXIF orientation               applied
several frames                 refused, except the preview that a camera adds (MPO)
floats, 32-bit integers        refused: which value is white is not known
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from clrun.disk.opening import UnusualFile, open_regular
from clrun.images.files import DamagedFile

FORMAT_OF = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".pgm": "PPM",
}
"""Ends of the names of files that are taken for images, in any case, and Pillow's format for each.
A file's content decides which of these it is. No other is tried: for an EPS Pillow starts
Ghostscript, whatever the file is called, and its readers of rare formats had most of the holes."""
SUFFIXES = tuple(FORMAT_OF)
FORMATS = tuple(dict.fromkeys(FORMAT_OF.values()))

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
SWAPS_SIDES = (5, 6, 7, 8)
"""EXIF orientations in which the stored width is the height."""
ORIENTATION = 0x0112
MOST_PIXELS = 1024**3 // 12
"""Pixels of one image above which Pillow warns of an attack on the memory."""


class ImageShape(NamedTuple):
    """The size of an image, as its header says."""

    channels: int
    """1 or 3"""
    height: int
    width: int


@dataclass(frozen=True)
class Decoder:
    """Reads a file as pixels of one shape; it can be sent to another process."""

    shape: ImageShape

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        """[C, H, W] uint8. Other sizes are resized (bilinear, antialiased, sides apart).

        Raises:
            DamagedFile: see the module's description.
        """
        channels, height, width = self.shape
        with _opened(path) as image:
            pixels = eight_bits(image, channels)
            if pixels.size != (width, height):
                pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
            rows = np.asarray(pixels).reshape(height, width, channels)
            return np.ascontiguousarray(rows.transpose(2, 0, 1))


def verified(path: Path) -> NDArray[np.uint8]:
    """Nothing, [0] uint8, once the file is known to be whole; it is decoded for that.

    Raises:
        DamagedFile: see the module's description.
    """
    with _opened(path) as image:
        eight_bits(image, 3)
    return np.zeros(0, np.uint8)


def image_shape(path: Path) -> ImageShape:
    """The shape that `Decoder` would make of the file, read from its header alone.

    Raises:
        DamagedFile: not an image, or one of a kind that is refused.
    """
    with _opened(path) as image:
        width, height = image.size
        if _orientation(image) in SWAPS_SIDES:
            width, height = height, width
        return ImageShape(1 if image.mode in GREY_MODES else 3, height, width)


def deep_maximum(path: Path) -> int | None:
    """The largest value of an image of 16 bits, which is decoded for it; None for other images.

    Raises:
        DamagedFile: see the module's description.
    """
    with _opened(path) as image:
        return int(np.asarray(image).max()) if image.mode in DEEP_MODES else None


def _orientation(image: Image.Image) -> int | None:
    """The header's orientation; Pillow would decode a whole PNG to look behind its pixels."""
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return None
    orientation: int | None = image.getexif().get(ORIENTATION)
    return orientation


def eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """Upright, 8 bits, mode L (1 channel) or RGB (3); alpha is laid over black.

    Raises:
        ValueError: values that do not fit 16 bits.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in DEEP_MODES:
        image = _shallow(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image).convert("RGB")
    return image.convert("L" if channels == 1 else "RGB")


def _shallow(image: Image.Image) -> Image.Image:
    """16 bits to 8."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError(f"holds values from {values.min()} to {values.max()}, not 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image with its header read; whatever is wrong, then or later, is a DamagedFile."""
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            _refuse_odd_kinds(image)
            yield image
    except UnidentifiedImageError:
        reason = "is empty" if path.stat().st_size == 0 else "is no image that can be read"
        raise DamagedFile(f"{named(path)} {reason}") from None
    except UnusualFile as error:
        raise DamagedFile(f"{named(path)} {error.strerror}") from None
    except FileNotFoundError:
        raise DamagedFile(f"{named(path)} is missing") from None
    except PermissionError:
        raise DamagedFile(f"{named(path)} may not be read (permissions)") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DamagedFile(f"{named(path)} has more than {MOST_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DamagedFile(f"{named(path)} cannot be decoded ({_first_line(error)})") from error


def _refuse_odd_kinds(image: Image.Image) -> None:
    """Raise ValueError for an image that has no one meaning as 8-bit pixels."""
    if image.mode == "F":
        raise ValueError("32-bit floats: save it with 8 or 16 bits")
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{image.width}x{image.height} pixels are more than {MOST_PIXELS:,}")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise ValueError("it has several frames: save each as a file of its own")


def named(path: Path) -> str:
    """The file and the folder it is in, which is often its class."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
