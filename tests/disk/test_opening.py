import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clrun.disk.opening import (
    UnusualFile,
    open_own,
    open_regular,
    own_size,
    read_bytes,
    read_text,
)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path has at most 107 bytes
        made.bind(path.name)
        os.chdir(here)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def folder(path: Path) -> None:
    path.mkdir()


UNUSUAL = {
    fifo: "is a FIFO, no regular file",
    a_socket: "is a socket, no regular file",
    endless: "is a device, no regular file",
    link_to_fifo: "is a FIFO, no regular file",
    folder: "is a folder, no regular file",
}


@pytest.mark.parametrize(("make", "reason"), UNUSUAL.items())
def test_what_is_no_regular_file_is_refused_at_once_and_left_closed(make, reason, tmp_path):
    make(tmp_path / "x")
    open_before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(UnusualFile) as caught:
        open_regular(tmp_path / "x")

    assert caught.value.strerror == reason
    assert caught.value.filename == str(tmp_path / "x")
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_link_to_a_regular_file_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")

    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"


def test_what_is_missing_or_may_not_be_read_is_said_as_the_system_says_it(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nothing")


def test_a_file_is_read_whole_up_to_a_size(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")

    assert read_text(tmp_path / "file", most=3) == "abc"
    with pytest.raises(UnusualFile, match="has more than 2 bytes"):
        read_bytes(tmp_path / "file", most=2)


@pytest.mark.parametrize(("mode", "content"), [("wb", b"new"), ("ab", b"oldnew")])
def test_our_own_file_is_written_or_gone_on_with(mode, content, tmp_path):
    (tmp_path / "file").write_bytes(b"old")

    with open_own(tmp_path / "file", mode) as file:
        file.write(b"new")

    assert (tmp_path / "file").read_bytes() == content


def test_our_own_file_is_made_as_open_to_others_as_the_umask_says(tmp_path):
    open_own(tmp_path / "file", "wb").close()

    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def link(path: Path) -> None:
    path.symlink_to("victim")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def hard_link(path: Path) -> None:
    os.link(path.with_name("victim"), path)


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("make", [link, link_to_nothing, hard_link, fifo, folder])
def test_nothing_is_written_through_what_somebody_else_put_there(
    make: Callable[[Path], None], mode, tmp_path
):
    (tmp_path / "victim").write_bytes(b"mine")
    make(tmp_path / "x")

    with pytest.raises(OSError, match=r"is a|Is a directory"):
        open_own(tmp_path / "x", mode)

    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert not (tmp_path / "nothing").exists()


def test_the_size_of_our_own_file_is_not_that_of_what_a_link_leads_to(tmp_path):
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("victim")

    assert [own_size(tmp_path / name) for name in ("victim", "link", "nothing")] == [4, 0, 0]
