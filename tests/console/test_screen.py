from __future__ import annotations

import os
import sys

import pytest

from clrun.console.screen import Screen, print_error


@pytest.fixture
def unread():
    """A pipe whose reader left."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        yield pipe


def test_a_reader_that_leaves_ends_nothing(unread):
    screen = Screen(file=unread)

    screen.print("first")
    screen.print("second")

    assert screen.quiet


def test_what_else_is_printed_there_does_not_fail_either(unread):
    Screen(file=unread).print("first")

    print("plain", flush=True, file=unread)

    assert os.path.samestat(os.fstat(unread.fileno()), os.stat(os.devnull))


def test_an_error_that_nobody_reads_ends_nothing(unread, monkeypatch):
    monkeypatch.setattr(sys, "stderr", unread)

    print_error("first")
    print_error("second")

    assert os.path.samestat(os.fstat(unread.fileno()), os.stat(os.devnull))
