"""Fetch a file once and whole: https, resumed after a break, checked, then put in place.

`<name>.part` beside the destination is what has arrived; a later call goes on from there. The
destination appears by a rename, complete and with the right checksum, or not at all.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Literal, Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from clrun.disk.locks import locked
from clrun.disk.opening import UnusualFile, open_own, open_regular, own_size
from clrun.disk.space import require_space
from clrun.errors import ClrunError, StorageError
from clrun.images.stalling import LEAST_RATE, Watch


class Progress(Protocol):
    """Called with a file's name, the bytes that have arrived, and the bytes in all if known; or
    with what is made, and numbers of another unit."""

    def __call__(
        self, name: str, done: int, total: int | None, /, *, unit: Literal["bytes", "images"] = ...
    ) -> None: ...


CHUNK_BYTES = 1 << 18
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PATIENCE = 30.0
"""Seconds that a server may bring nothing, or fewer than `LEAST_RATE` bytes in each."""
MOST_BYTES = 16 << 30
"""Bytes of a file whose size its publishers do not give; CORe50's images have a quarter of it."""
RESERVE = 512 << 20
"""Bytes that are left to others on a disk, where a server does not say how much will come."""
LOOKED_AT = 64 << 20
"""Bytes after which the disk is looked at again."""


class DownloadError(ClrunError):
    """A file could not be fetched: data are missing, which is bad input until they are there."""

    exit_code = 2


class _TryAgain(DownloadError):
    """The transfer broke in a way that another attempt may mend."""


class _TooSlow(_TryAgain):
    """It was cut, as hardly anything came: an attempt that failed, whatever it brought."""


def fetch(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    on_progress: Progress | None = None,
    attempts: int = 4,
    pause_seconds: float = 0.5,
    patience: float = PATIENCE,
    most: int = MOST_BYTES,
) -> None:
    """Put the file at `url` at `destination`, unless it is there; processes wait for one another.

    The content is known by its SHA-256, of which its publishers may give but the first digits, or
    where they give no other, by its MD5. Gives up after `attempts` in a row that brought nothing,
    or hardly anything in `patience` seconds; the pause between them doubles. Where no `size` is
    known, `most` is the largest.

    Raises:
        DownloadError: not reachable, not found, not the published content, or not https
            (http is for this machine only).
        StorageError: the folder cannot be written or is full.
    """
    assert (sha256 is None) != (md5 is None), "nothing is fetched that cannot be checked"
    published = ("sha256", sha256) if sha256 else ("md5", str(md5))
    if not _is_allowed(url):
        raise DownloadError(f"{url}: only https is fetched.")
    part = destination.with_name(f"{destination.name}.part")

    def attempt() -> None:
        resumed = own_size(part) > 0
        with Watch(patience) as watch:
            _transfer(url, part, size, most, watch, on_progress)
        _verify(part, destination.name, *published, resumed=resumed)

    with _as_storage_error(destination.parent), _alone(destination):
        if not destination.exists():
            _persist(attempt, part, attempts, pause_seconds)
            os.replace(part, destination)


def _persist(attempt: Callable[[], None], part: Path, attempts: int, pause_seconds: float) -> None:
    """Attempt it until it ends well, or `attempts` in a row have brought nothing to `part`."""
    failures, pause = 0, pause_seconds
    while True:
        had = own_size(part)
        try:
            return attempt()
        except _TryAgain as error:
            is_worth_it = own_size(part) > had and not isinstance(error, _TooSlow)
            failures = 0 if is_worth_it else failures + 1
            if failures >= attempts:
                raise DownloadError(str(error)) from None
        if failures:
            time.sleep(pause)
            pause *= 2


def file_digest(path: Path, algorithm: str) -> str:
    """The file's checksum in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_regular(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _transfer(
    url: str,
    part: Path,
    size: int | None,
    most: int,
    watch: Watch,
    on_progress: Progress | None,
) -> None:
    """One attempt: bring `part` up to the whole file, from where it stands."""
    had = own_size(part)
    if size is not None:
        if had == size:
            return  # complete, but its process ended before the rename
        require_space(part.parent, size - had, "downloaded")
    with _open(url, had, part, watch) as response:
        goes_on = response.status == 206
        done = had if goes_on else 0  # a server without ranges sends everything again
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdecimal() else size
        _require_bounded(url, total or 0, size, most)
        require_space(part.parent, (total or 0) - done, "downloaded")
        with io.BufferedWriter(open_own(part, "ab" if goes_on else "wb")) as file:
            for chunk in _chunks(response, url, watch):
                if total is None and done // LOOKED_AT != (done + len(chunk)) // LOOKED_AT:
                    require_space(part.parent, LOOKED_AT + RESERVE, "downloaded and kept free")
                done += len(chunk)
                _require_bounded(url, done, size, most)
                file.write(chunk)
                if on_progress:
                    on_progress(part.stem, done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise _TryAgain(f"{url}: the transfer broke off after {done} of {total} bytes.")


def _require_bounded(url: str, count: int, size: int | None, most: int) -> None:
    """Refuse more bytes than were published, or than any such file has."""
    if size is not None and count > size:
        raise DownloadError(f"{url}: sends more than the published {size} bytes.")
    if size is None and count > most:
        raise DownloadError(f"{url}: sends more than {most:,} bytes, which no such file has.")


def _open(url: str, start: int, part: Path, watch: Watch) -> HTTPResponse:
    """The server's answer to a request for the bytes from `start` on."""
    headers = {"User-Agent": "clrun", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    proxies = [ProxyHandler({})] if _is_loopback(url) else []
    opener = build_opener(_SecureRedirects, *proxies, *watch.handlers)
    host = urlsplit(url).hostname
    try:
        return opener.open(Request(url, headers=headers), timeout=30)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # what we have is no beginning of it
            part.unlink()
            raise _TryAgain(f"{url}: cannot be resumed.") from None
        if 300 <= error.code < 400:
            where = error.headers.get("Location")
            raise DownloadError(f"{url}: redirects to {where}, which is refused.") from None
        kind = _TryAgain if error.code in (408, 429) or error.code >= 500 else DownloadError
        raise kind(f"{url}: {host} answers {error.code} {error.reason}.") from None
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
        _refuse_slow(url, watch)
        reason = getattr(error, "reason", None) or error
        raise _TryAgain(f"{url}: {host} cannot be reached ({reason}).") from None


class _SecureRedirects(HTTPRedirectHandler):
    """Follows https to https only (and this machine's http to its own)."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        inwards = _is_loopback(newurl) and not _is_loopback(req.full_url)
        if inwards or not _is_allowed(newurl):
            raise HTTPError(req.full_url, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _chunks(response: HTTPResponse, url: str, watch: Watch) -> Iterator[bytes]:
    """The body; a broken connection raises _TryAgain, so that it is not mistaken for the disk."""
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES)  # what is there, without waiting for more
        except (OSError, HTTPException, ValueError) as error:
            _refuse_slow(url, watch)
            raise _TryAgain(f"{url}: the transfer broke off ({error}).") from None
        _refuse_slow(url, watch)
        if not chunk:
            return
        watch.arrived(len(chunk))
        yield chunk


def _refuse_slow(url: str, watch: Watch) -> None:
    if watch.is_cut:
        raise _TooSlow(
            f"{url}: {urlsplit(url).hostname} sends fewer than {LEAST_RATE:,} bytes a second."
        )


def _verify(part: Path, name: str, algorithm: str, expected: str, *, resumed: bool) -> None:
    """Delete what is not the published file; worth another try if two halves were put together."""
    found = file_digest(part, algorithm)
    if not found.startswith(expected):
        part.unlink()
        kind = _TryAgain if resumed else DownloadError
        label = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
        raise kind(
            f"{name}: what arrived is not the published file ({label} {found[:12]}..., "
            f"expected {expected[:12]}...) and was not kept."
        )


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK


def _is_allowed(url: str) -> bool:
    scheme = urlsplit(url).scheme
    return scheme == "https" or (scheme == "http" and _is_loopback(url))


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file; the lock dies with its process.

    Folders made for a file that never came are taken away again.
    """
    made = [folder for folder in destination.parents if not folder.exists()]
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(destination.with_name(f".{destination.name}.lock")):
            yield
    finally:
        for folder in made:
            with suppress(OSError):  # not empty: something came
                folder.rmdir()


@contextmanager
def _as_storage_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except UnusualFile as error:
        raise StorageError(f"{error.filename}: {error.strerror}. Take it away.") from error
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}).") from error
