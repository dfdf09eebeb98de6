"""Decode CORe50's PNG files, from the unpacked folders or from the archive as it was published."""

from __future__ import annotations

import io
import struct
import threading
import weakref
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clrun.disk.opening import open_regular
from clrun.images.files import DamagedFile, Remote, check_published


class FromFolder:
    """Decodes the files below a folder."""

    def __init__(self, folder: Path, side: int) -> None:
        self.folder, self.side = folder, side

    def __call__(self, path: str) -> NDArray[np.uint8]:
        """[3, side, side] uint8"""
        with open_regular(path) as file:
            return decode_png(file, path.removeprefix(f"{self.folder}/"), self.side)


class FromArchive:
    """Decodes the members of the image archive, which need not be unpacked for it.

    The archive is checked and opened when the first image is asked for. Threads may share this.
    """

    def __init__(self, archive: Path, remote: Remote, side: int) -> None:
        self.archive, self.remote, self.side = archive, remote, side
        self._file: zipfile.ZipFile | None = None
        self._opening = threading.Lock()

    def __call__(self, name: str) -> NDArray[np.uint8]:
        """[3, side, side] uint8"""
        try:
            content = self._opened().read(f"{self.archive.stem}/{name}")
        except KeyError:
            raise DamagedFile(f"{self.archive.name} has no image {name}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DamagedFile(f"{self.archive.name} is damaged ({error})") from error
        return decode_png(io.BytesIO(content), name, self.side)

    def _opened(self) -> zipfile.ZipFile:
        with self._opening:
            if self._file is None:
                check_published(self.archive, md5=self.remote.md5)
                file = open_regular(self.archive)
                weakref.finalize(self, file.close)  # ZipFile closes what it opened itself
                self._file = zipfile.ZipFile(file)
            return self._file


def decode_png(file: BinaryIO, name: str, side: int) -> NDArray[np.uint8]:
    """A colour image of side x side pixels. -> [3, side, side] uint8

    Raises:
        DamagedFile: no whole PNG file, or of another size.
    """
    try:
        with Image.open(file, formats=["PNG"]) as image:
            if image.size != (side, side):
                width, height = image.size
                raise DamagedFile(f"{name} is {width}x{height} pixels, not {side}x{side}")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DamagedFile(f"{name} is no whole PNG file") from error
