import hashlib
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from clrun.errors import StorageError
from clrun.images.download import DownloadError, _SecureRedirects, fetch

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
quickly = partial(fetch, sha256=SHA256, pause_seconds=0)


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; the path says how badly."""

    def do_GET(self):
        self.server.requests[self.path, self.headers.get("Range")] += 1
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        first = self.server.requests.total() == 1
        answers = {
            "/file": partial(self.answer, start),
            "/cut": partial(self.answer, start, stop=start + 300_000),  # breaks off each time
            "/cut_without_ranges": partial(self.answer, 0, stop=300_000 if first else None),
            "/busy": partial(self.send_error, 503) if first else partial(self.answer, start),
            "/endless": partial(self.answer, 0, content=CONTENT + CONTENT, length=False),
            "/empty": partial(self.answer, 0, stop=0),
            "/to_file": partial(self.redirect, "file:///etc/passwd"),
            "/to_http": partial(self.redirect, "http://data.example.org/file"),
            "/to_self": partial(self.redirect, "/file"),
            "/without_end": self.go_on,
            "/slow": partial(self.trickle, b"HTTP/1.1 200 OK\r\n\r\n"),
            "/slow_and_known": partial(
                self.trickle, b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"
            ),
            "/slow_chunks": partial(
                self.trickle, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            "/slow_headers": partial(self.trickle, b"HTTP/1.1 200 OK\r\nX: "),
            "/slow_status": partial(self.trickle, b""),
        }
        answers.get(self.path, partial(self.send_error, 404))()

    def answer(self, start, *, stop=None, content=CONTENT, length=True):
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:stop])

    def go_on(self):
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):  # who asked has left
            while not self.server.stopped.is_set():
                self.wfile.write(CONTENT)

    def trickle(self, begin):
        """A byte now and then, of whatever the client waits for."""
        with suppress(OSError):
            self.wfile.write(begin)
            while not self.server.stopped.wait(0.02):
                self.wfile.write(b"1")

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.stopped = Counter(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server():
    with serving() as running:
        yield running


def url(server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_arrives_whole_and_alone(server, tmp_path):
    quickly(url(server, "/file"), tmp_path / "new" / "file", size=len(CONTENT))

    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert left_in(tmp_path / "new") == {"file"}


def test_a_file_that_is_there_is_not_asked_for(server, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")

    quickly(url(server, "/file"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b"mine"
    assert not server.requests


def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    quickly(url(server, "/cut"), tmp_path / "file", attempts=1)

    assert (tmp_path / "file").read_bytes() == CONTENT
    ranges = {asked for _, asked in server.requests}
    assert ranges == {None, "bytes=300000-", "bytes=600000-", "bytes=900000-"}


def test_a_later_call_goes_on_from_an_earlier_part(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])

    quickly(url(server, "/file"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == {("/file", "bytes=1000-"): 1}


def test_a_complete_part_is_only_checked_and_renamed(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)

    quickly(url(server, "/file"), tmp_path / "file", size=len(CONTENT))

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert not server.requests


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"something else", id="of another file"),
        pytest.param(CONTENT + b"too much", id="longer than the file"),
        pytest.param(b"x" * len(CONTENT), id="as long as the file"),
    ],
)
def test_a_wrong_part_is_thrown_away_and_the_file_fetched_anew(server, tmp_path, part):
    (tmp_path / "file.part").write_bytes(part)

    quickly(url(server, "/file"), tmp_path / "file", size=len(CONTENT))

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_everything_again(server, tmp_path):
    quickly(url(server, "/cut_without_ranges"), tmp_path / "file", size=len(CONTENT))

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    quickly(url(server, "/busy"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests.total() == 2


def test_a_redirect_on_this_machine_is_followed(server, tmp_path):
    quickly(url(server, "/to_self"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_machine_may_not_redirect_to_this_one():
    request, reply = Request("https://data.example.org/file"), HTTPMessage()

    with pytest.raises(HTTPError):
        _SecureRedirects().redirect_request(
            request, BytesIO(), 302, "Found", reply, "http://127.0.0.1:8000/file"
        )


def test_progress_is_reported_from_start_to_end(server, tmp_path):
    calls = []

    quickly(url(server, "/file"), tmp_path / "file", on_progress=lambda *call: calls.append(call))

    assert calls[-1] == ("file", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)


def test_another_content_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(DownloadError, match=r"^file: .* not the published file .* not kept\.$"):
        fetch(url(server, "/file"), tmp_path / "file", sha256="0" * 64)

    assert not left_in(tmp_path) & {"file", "file.part"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/to_file", r"redirects to file:///etc/passwd, which is refused"),
        ("/to_http", r"redirects to http://data.example.org/file, which is refused"),
        ("/nowhere", r"127\.0\.0\.1 answers 404 Not Found"),
        ("/endless", r"sends more than the published 1048576 bytes"),
        ("/empty", r"broke off after 0 of 1048576 bytes"),
    ],
)
def test_a_failure_says_in_one_line_what_the_server_did(server, tmp_path, path, message):
    with pytest.raises(DownloadError, match=message) as caught:
        quickly(url(server, path), tmp_path / "file", size=len(CONTENT))

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "file").exists()


def test_no_connection_is_told_with_the_host(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = taken.getsockname()[1]

        with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached \(.*refused"):
            quickly(f"http://127.0.0.1:{port}/file", tmp_path / "file")


@pytest.mark.parametrize(
    "address",
    [
        "http://data.example.org/file",
        "ftp://data.example.org/file",
        "file:///etc/passwd",
        "http://127.0.0.1.example.org/file",
        "http://localhost@data.example.org/file",
    ],
)
def test_only_https_is_fetched_from_other_machines(tmp_path, address):
    with pytest.raises(DownloadError, match=re.escape(f"{address}: only https is fetched")):
        quickly(address, tmp_path / "file")

    assert not left_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(server, tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(StorageError, match="taken: cannot be written"):
        quickly(url(server, "/file"), tmp_path / "taken" / "file")


def test_a_file_larger_than_the_disk_is_refused_before_it_is_asked_for(server, tmp_path):
    with pytest.raises(StorageError, match="MB are to be downloaded"):
        quickly(url(server, "/file"), tmp_path / "file", size=10**18)

    assert not server.requests


def test_two_threads_download_once(server, tmp_path):
    both = [
        threading.Thread(target=quickly, args=(url(server, "/file"), tmp_path / "file"))
        for _ in range(2)
    ]

    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests.total() == 1


def test_processes_wait_for_one_another_and_download_once(server, tmp_path):
    context = multiprocessing.get_context("spawn")  # the server's threads must not be forked
    racing = [
        context.Process(target=quickly, args=(url(server, "/cut"), tmp_path / "file"))
        for _ in range(2)
    ]

    for process in racing:
        process.start()
    for process in racing:
        process.join(60)

    assert [process.exitcode for process in racing] == [0, 0]
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests.total() == 4


def test_a_file_known_by_its_md5_is_checked_against_it(server, tmp_path):
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    fetch(url(server, "/file"), tmp_path / "file", md5=md5)

    with pytest.raises(DownloadError, match=r"^other: .* \(MD5 .* was not kept\.$"):
        fetch(url(server, "/file"), tmp_path / "other", md5="0" * 32, pause_seconds=0)

    assert left_in(tmp_path) == {"file"}


def test_a_disk_that_fills_up_is_told_in_one_line(server, tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from clrun.images.download import fetch\n"
        "from clrun.errors import StorageError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "try: fetch(sys.argv[1], Path(sys.argv[2]), sha256='0' * 64)\n"
        "except StorageError as error: sys.exit(str(error))"
    )
    command = [sys.executable, "-c", code, url(server, "/file"), tmp_path / "file"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}: cannot be written (File too large).\n"
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "path", ["/slow", "/slow_and_known", "/slow_chunks", "/slow_headers", "/slow_status"]
)
def test_a_server_that_sends_a_byte_now_and_then_is_left(server, tmp_path, path):
    start = time.monotonic()

    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 sends fewer than 1,000 bytes a second"):
        quickly(url(server, path), tmp_path / "file", attempts=2, patience=0.3)

    assert time.monotonic() - start < 20
    assert not (tmp_path / "file").exists()
    assert server.requests.total() == 2


def test_a_body_without_end_is_left_at_the_size_that_no_such_file_has(server, tmp_path):
    with pytest.raises(DownloadError, match=r"sends more than 3,000,000 bytes, which no such file"):
        quickly(url(server, "/without_end"), tmp_path / "file", most=3_000_000)

    assert (tmp_path / "file.part").stat().st_size <= 3_000_000


def test_a_length_that_no_such_file_has_is_refused_before_the_body(server, tmp_path):
    with pytest.raises(DownloadError, match="sends more than 1,000,000 bytes"):
        quickly(url(server, "/file"), tmp_path / "file", most=1_000_000)

    assert left_in(tmp_path) == set()


def test_a_disk_is_not_filled_up_by_a_body_of_unknown_length(server, tmp_path, monkeypatch):
    monkeypatch.setattr("clrun.images.download.LOOKED_AT", 1 << 20)
    monkeypatch.setattr("clrun.images.download.RESERVE", 1 << 60)

    with pytest.raises(StorageError, match="are to be downloaded and kept free"):
        quickly(url(server, "/without_end"), tmp_path / "file")

    assert (tmp_path / "file.part").stat().st_size < 3 << 20


def test_the_first_digits_of_a_checksum_are_enough_where_no_more_are_published(server, tmp_path):
    fetch(url(server, "/file"), tmp_path / "file", sha256=SHA256[:8])

    with pytest.raises(DownloadError, match="not the published file"):
        fetch(url(server, "/file"), tmp_path / "other", sha256="0" * 8)


@pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["a link", "a hard link"])
def test_a_part_that_is_a_link_is_not_written_through(server, tmp_path, plant):
    (tmp_path / "victim").write_bytes(b"mine")
    plant(tmp_path / "victim", tmp_path / "file.part")

    with pytest.raises(StorageError, match=r"file\.part: is a.* link.* Take it away\.$"):
        quickly(url(server, "/file"), tmp_path / "file")

    assert (tmp_path / "victim").read_bytes() == b"mine"
