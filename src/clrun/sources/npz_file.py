"""The arrays inside an .npz file, read without ever unpickling, header by header or whole."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from clrun.disk.opening import UnusualFile, open_regular
from clrun.sources.class_names import BadRows


class Header(NamedTuple):
    """The shape and dtype of a member's array, as its header says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The file; whatever its unpacking raises until it is closed is a BadRows."""
    if path.is_dir():
        raise BadRows("is a folder. Name an .npz file, or use benchmark=folder")
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except (FileNotFoundError, NotADirectoryError):
        raise BadRows("there is no such file. Name an .npz file with arrays x and y") from None
    except UnusualFile as error:
        raise BadRows(f"{error.strerror}. Name an .npz file with arrays x and y") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadRows(f"is no complete .npz file ({error}). Save it with numpy.savez") from error
    except (NotImplementedError, RuntimeError) as error:  # another compression; encrypted
        raise BadRows(f"cannot be unpacked ({error}). Save it with numpy.savez") from error


def member_names(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays, as they were given to numpy.savez."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def read_header(archive: zipfile.ZipFile, name: str) -> Header:
    """Shape and type of one array, of which nothing else is read.

    Raises:
        BadRows: it is no array, empty, of Python objects, or not as long as it says.
    """
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        header, length = _parse_header(file, name)
    if header.dtype.hasobject:
        raise BadRows(
            f"{name} holds Python objects, which are not read. "
            f"Save numbers or text, e.g. numpy.array({name}.tolist())"
        )
    if prod(header.shape) * header.dtype.itemsize != member.file_size - length:
        raise BadRows(f"{name} holds less or more than its header says. Save the file again")
    if 0 in header.shape:
        raise BadRows(f"{name} is empty (shape {header.shape}). Add rows")
    return header


def _parse_header(file: IO[bytes], name: str) -> tuple[Header, int]:
    """The header, and how many bytes it takes."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except ValueError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BadRows(f"{name} is no array ({reason}). Save it with numpy.savez") from error
    return Header(shape, dtype), file.tell()


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array whole, of numbers or text."""
    with archive.open(f"{name}.npy") as file:
        return npy.read_array(file, allow_pickle=False)
