from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clrun.console.screen import patient


@pytest.fixture
def unread():
    """A pipe whose reader left."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="latin-1", errors="replace") as pipe:
        yield pipe


def test_a_reader_that_leaves_ends_nothing(unread):
    stream = patient(unread)

    print("first", file=stream, flush=True)
    print("second", file=stream, flush=True)

    assert os.path.samestat(os.fstat(unread.fileno()), os.stat(os.devnull))


def test_it_writes_as_the_stream_did_in_whose_place_it_is(tmp_path):
    with (tmp_path / "text").open("w", encoding="latin-1", errors="replace") as file:
        file.write("before ")
        stream = patient(file)
        stream.write("café 猫")
        stream.flush()

    assert (tmp_path / "text").read_bytes() == "before café ?".encode("latin-1")


def test_what_is_no_file_stays_as_it_is():
    stream = io.TextIOWrapper(io.BytesIO())

    assert patient(stream) is stream


@pytest.mark.parametrize(
    ("words", "buffering"),
    [
        ("list", ""),
        ("list", "1"),
        ("--info all", ""),
        ("strategy=naive strategy.train_epochs=1 device=cpu hydra.run.dir=run", "1"),
        ("-m strategy=naive strategy.train_epochs=1 seed=0,1 hydra.sweep.dir=sweep", "1"),
    ],
)
def test_every_command_does_all_that_it_is_for_when_nobody_reads(
    words: str, buffering: str, unread: io.TextIOWrapper, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "clrun", *words.split()]

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": buffering},
        stdout=unread,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    runs = 2 if "seed=0,1" in words else int("hydra.run.dir" in words)
    assert len(list(tmp_path.rglob("results.json"))) == runs
