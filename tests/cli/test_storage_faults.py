"""A disk that fails while a run writes: one line, exit 5, what was there before is whole."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storage_faults import (
    Broken,
    failing_at,
    full,
    limited,
    removed,
    renamed,
    small_disk,
    without_inodes,
)

from clrun.cli.main import main
from clrun.records.raw_log import read_raw_log

QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "benchmark.limit_per_class=10")

WRITERS = {
    "log file": "clrun.log",
    "Hydra's config": ".hydra/config.yaml",
    "Hydra's own": ".hydra/hydra.yaml",
    "record": "/.run.json.",
    "config": "/.config.yaml.",
    "raw log": "metrics.jsonl",
    "results": "/.results.json.",
    "matrix": "/.accuracy_matrix.csv.",
}
"""What writes -> how the file that it opens is called."""

REASONS = {
    "full": "No space left on device",
    "inodes": "No space left on device",
    "limit": "File too large",
    "quota": re.escape(os.strerror(errno.EDQUOT)),
    "read-only": "Read-only file system",
    "broken": "Input/output error",
    "removed": "No such file or directory|was removed or renamed while the run was writing",
    "renamed": "No such file or directory|was removed or renamed while the run was writing",
}
"""What happens to the disk -> what is said."""

CODES = {"quota": errno.EDQUOT, "read-only": errno.EROFS, "broken": errno.EIO}
PLAIN = {"limit": limited, "removed": removed, "renamed": renamed}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB and 200 files, where tests may have one."""
    try:
        with small_disk(tmp_path / "disk", "size=1m,nr_inodes=200") as place:
            yield place
    except PermissionError as error:
        pytest.skip(f"no disk can be mounted here: {error}")


@pytest.fixture
def fault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Callable, Path]]:
    """What makes a disk fail, and a folder of it for a run."""
    kind = request.param
    if kind in ("full", "inodes"):
        disk = request.getfixturevalue("disk")
        yield {"full": full, "inodes": without_inodes}[kind], disk / "run"
    elif kind in CODES:
        broken = Broken(CODES[kind])
        yield broken, tmp_path / "run"
        broken.mend()
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield PLAIN[kind], tmp_path / "run"
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def whole(folder: Path) -> None:
    """Every file that a run writes is as it should be or not there."""
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    if (folder / "metrics.jsonl").exists():
        assert (folder / "metrics.jsonl").read_bytes()[-1:] in (b"", b"\n")
        read_raw_log(folder / "metrics.jsonl")
    left = [path.name for path in folder.rglob(".*.????????") if path.is_file()]
    assert left == []


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("fault", REASONS, indirect=True, ids=str)
def test_it_is_one_line_that_begins_with_the_cause(fault, writer, request, capsys, workplace):
    make_fail, folder = fault
    kind = request.node.callspec.params["fault"]

    with failing_at(WRITERS[writer], make_fail, folder) as happened:
        code = main([*QUICK, f"hydra.run.dir={folder}"])

    errors = capsys.readouterr().err
    assert happened
    assert re.fullmatch(rf"clrun: /[^\n]*: ({REASONS[kind]})\.?[^\n]*\n", errors), errors
    assert code == 5
    if kind not in ("removed", "renamed"):
        whole(folder)
        record = folder / "run.json"
        if kind in ("full", "inodes") and record.exists():
            assert json.loads(record.read_text())["status"] == "failed"


def test_a_job_of_a_sweep_that_hydra_cannot_begin_is_named(disk, capsys, workplace):
    sweep = disk / "sweep"

    with failing_at("clrun.log", full, sweep):
        code = main(["-m", *QUICK, "seed=0,1", f"hydra.sweep.dir={sweep}"])

    errors = capsys.readouterr().err
    assert re.fullmatch(rf"clrun: {sweep}/naive-[^\n]*: No space left on device\.\n", errors)
    assert code == 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [("version",), ("list", "model"), (*QUICK, "output_root=runs")])
def test_output_that_cannot_be_written_is_one_line_too(words, workplace):
    command = [sys.executable, "-m", "clrun", *words]

    with open("/dev/full", "w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True)

    assert done.stderr == "clrun: standard output: No space left on device.\n"
    assert done.returncode == 5


def test_a_current_folder_that_is_gone_is_said(tmp_path):
    program = "import os, sys; os.rmdir(os.getcwd()); from clrun.cli.main import main; sys.exit("
    place = tmp_path / "gone"
    place.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", f"{program}main({list(QUICK)}))"],
        cwd=place,
        capture_output=True,
        text=True,
    )

    assert done.stderr == "clrun: the folder that clrun was started in is gone.\n"
    assert done.returncode == 5
