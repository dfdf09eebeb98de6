"""Unpack archives from other people: every name stays in the folder, and only files come out.

The whole list of contents is checked before a byte is written. `tarfile`'s own data filter is for
tar alone, keeps links that stay inside and takes a leading slash away; here all these are refused.
What was unpacked is put in place by renaming, one top-level entry after another, so an entry that
is there is complete.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from clrun.disk.locks import locked
from clrun.disk.opening import open_regular
from clrun.disk.space import require_space
from clrun.errors import StorageError
from clrun.images.download import Progress
from clrun.images.files import DamagedFile

CHUNK_BYTES = 1 << 20
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # of zipfile: a compression that it does not know
)
"""What the standard library raises for an archive that is cut, altered or of an unknown kind."""


@dataclass(frozen=True)
class Member:
    """A regular file in an archive."""

    name: str
    size: int
    handle: Any
    """the archive's own entry for it"""


def unpack(
    archive: Path,
    folder: Path,
    on_progress: Progress | None = None,
    only: Mapping[str, str] | None = None,
) -> None:
    """Unpack a .zip or .tar(.gz, .xz, .bz2) into `folder`; top-level entries there are kept.

    `only` are the files that are wanted, name in the archive -> name below the folder; what else
    the archive holds is passed over. Without it everything comes out under its own name.

    Raises:
        DamagedFile: the archive is broken, lacks a file that is wanted, or has a name that leads
            out of the folder, a name twice, a link, a device or an encrypted file.
        StorageError: the folder cannot be written or is too full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{archive.name}.lock"), _opened(archive, only) as (members, read):
            _check_names(archive, members)
            require_space(folder, sum(member.size for member in members), "unpacked")
            fresh = folder / f".unpacking-{archive.name}"
            shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
            try:
                _write_all(fresh, members, read, archive.name, on_progress)
                _put_in_place(fresh, folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    except BROKEN as error:
        raise DamagedFile(f"{archive.name} is no complete archive ({error})") from error
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror or error}).") from error


@contextmanager
def _opened(
    archive: Path, only: Mapping[str, str] | None
) -> Iterator[tuple[list[Member], Callable[[Member], IO[bytes]]]]:
    """The files in an archive, or those of them that are wanted, and how to read one."""
    with open_regular(archive) as content:
        if zipfile.is_zipfile(content):
            with zipfile.ZipFile(content) as file:
                members = _wanted(archive, _zip_members(archive, file, only), only)
                yield members, lambda member: file.open(member.handle)
            return
        content.seek(0)
        with tarfile.open(fileobj=content) as tar:
            members = _wanted(archive, _tar_members(archive, tar, only), only)
            yield members, partial(_content, tar)


def _content(tar: tarfile.TarFile, member: Member) -> IO[bytes]:
    content = tar.extractfile(member.handle)
    assert content is not None  # a regular file has content
    return content


def _wanted(archive: Path, members: list[Member], only: Mapping[str, str] | None) -> list[Member]:
    """The members under the names that they are to have."""
    if only is None:
        return members
    absent = only.keys() - {member.name for member in members}
    if absent:
        raise DamagedFile(f"{archive.name} has no file {min(absent)}")
    return [replace(member, name=only[member.name]) for member in members]


def _zip_members(
    archive: Path, file: zipfile.ZipFile, only: Mapping[str, str] | None
) -> list[Member]:
    members = []
    for info in file.infolist():
        if only is not None and info.filename not in only:
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DamagedFile(f"{archive.name} holds a link or device ({info.filename})")
        if info.flag_bits & 1:
            raise DamagedFile(f"{archive.name} holds an encrypted file ({info.filename})")
        _check_inside(archive, info.orig_filename)
        if not info.is_dir():
            members.append(Member(info.filename, info.file_size, info))
    return members


def _tar_members(
    archive: Path, tar: tarfile.TarFile, only: Mapping[str, str] | None
) -> list[Member]:
    members = []
    for info in tar:
        if only is not None and info.name not in only:
            continue
        if not (info.isreg() or info.isdir()):
            raise DamagedFile(f"{archive.name} holds a link or device ({info.name})")
        _check_inside(archive, info.name)
        if info.isreg():
            members.append(Member(info.name, info.size, info))
    return members


def _check_inside(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DamagedFile(f"{archive.name} holds {name!r}, which leads out of the folder")


def _check_names(archive: Path, members: list[Member]) -> None:
    paths = [PurePosixPath(member.name) for member in members]
    twice = len(paths) - len(set(paths))
    if twice:
        raise DamagedFile(f"{archive.name} holds {twice} names twice")
    if not all(path.parts for path in paths):
        raise DamagedFile(f"{archive.name} holds a file without a name")


def _write_all(
    fresh: Path,
    members: list[Member],
    read: Callable[[Member], IO[bytes]],
    label: str,
    on_progress: Progress | None,
) -> None:
    total, done = sum(member.size for member in members), 0
    fresh.mkdir()
    for member in members:
        target = fresh / PurePosixPath(member.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with read(member) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        done += member.size
        if on_progress:
            on_progress(f"{label} (unpacking)", done, total)


def _put_in_place(fresh: Path, folder: Path) -> None:
    for entry in sorted(fresh.iterdir()):
        if not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
