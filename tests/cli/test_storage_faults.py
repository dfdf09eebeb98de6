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
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from storage_faults import (
    Broken,
    emptied,
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

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="mounts disks, and asks /proc what is open"
)

QUICK = (
    *("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1"),
    *("benchmark.limit_per_class=10", "model.hidden=[8]", "checkpoint.every_steps=1"),
)

WRITERS = {
    "log file": "clrun.log",
    "Hydra's config": ".hydra/config.yaml",
    "Hydra's own": ".hydra/hydra.yaml",
    "record": "/.run.json.",
    "config": "/.config.yaml.",
    "raw log": "metrics.jsonl",
    "state": "/.state-000000003.safetensors.",
    "record of a state": "/.state-000000003.json.",
    "results": "/.results.json.",
    "matrix": "/.accuracy_matrix.csv.",
    "model": "/.model.safetensors.",
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

ALIKE = ("quota", "broken", "renamed")
"""They fail where others do, with another number or name: each writer meets one of them."""
PAIRS = [
    (kind, writer)
    for kind in REASONS
    for at, writer in enumerate(WRITERS)
    if kind not in ALIKE or at % len(ALIKE) == ALIKE.index(kind)
]

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


class Failing(NamedTuple):
    """A disk that can be made to fail, a folder of it for a run, and what makes it well again."""

    kind: str
    fail: Callable[[Path], None]
    folder: Path
    mend: Callable[[], None]


@pytest.fixture
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Failing]:
    kind = request.param
    if kind in ("full", "inodes"):
        disk = request.getfixturevalue("disk")
        fail = {"full": full, "inodes": without_inodes}[kind]
        yield Failing(kind, fail, disk / "run", lambda: emptied(disk))
    elif kind in CODES:
        broken = Broken(CODES[kind])
        yield Failing(kind, broken, tmp_path / "run", broken.mend)
        broken.mend()
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        lift = partial(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        yield Failing(kind, PLAIN[kind], tmp_path / "run", lift)
        lift()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run finds on a disk that does not fail."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main([*QUICK, f"hydra.run.dir={folder}"]) == 0
    return found_in(folder)


def found_in(folder: Path) -> dict[str, Any]:
    results = json.loads((folder / "results.json").read_text())
    steps = [line for line in read_raw_log(folder / "metrics.jsonl") if line["kind"] == "step"]
    losses = [line["loss"] for line in steps]
    return {"matrix": results["accuracy_matrix"], "metrics": results["metrics"], "losses": losses}


def whole(folder: Path) -> None:
    """Every file that a run writes is as it should be or not there."""
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    if (folder / "metrics.jsonl").exists():
        assert (folder / "metrics.jsonl").read_bytes()[-1:] in (b"", b"\n")
        read_raw_log(folder / "metrics.jsonl")
    left = [path.name for path in folder.rglob(".*.????????") if path.is_file()]
    assert left == []


@pytest.mark.parametrize(("failing", "writer"), PAIRS, indirect=["failing"])
def test_a_disk_that_fails_is_one_line_and_the_run_goes_on_when_it_is_well(
    failing, writer, capsys, workplace, undisturbed
):
    kind, fail, folder, mend = failing

    with failing_at(WRITERS[writer], fail, folder) as happened:
        code = main([*QUICK, f"hydra.run.dir={folder}"])
    errors = capsys.readouterr().err
    mend()

    assert happened
    assert re.fullmatch(rf"clrun: /[^\n]*: ({REASONS[kind]})\.?[^\n]*\n", errors), errors
    assert code == 5
    if kind == "removed":
        assert not (folder / "run.json").exists()
        return
    if kind == "renamed":
        folder = folder.with_name(f"{folder.name}-elsewhere")
    whole(folder)
    if kind in ("full", "inodes") and (folder / "run.json").exists():
        assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert main(again(folder)) == 0
    assert found_in(folder) == undisturbed


def again(folder: Path) -> list[str]:
    """The words to go on with a run, or to begin it where there was no room for its record."""
    if (folder / "run.json").exists():
        return ["resume", str(folder)]
    return [*QUICK, f"hydra.run.dir={folder}"]


def test_a_job_of_a_sweep_that_hydra_cannot_begin_is_named(disk, capsys, workplace):
    sweep = disk / "sweep"

    with failing_at("clrun.log", full, sweep):
        words = ["seed=0,1", f"hydra.sweep.dir={sweep}", "hydra/launcher=basic"]
        code = main(["-m", *QUICK, *words])

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
