"""A run folder that somebody else prepared: nothing is written through what lies in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from clrun.cli.main import main
from clrun.errors import FolderError
from clrun.records.contents import RUN_FILES, SWEEP_FILES
from clrun.records.planted import WRITTEN, require_own_names
from clrun.records.run_folder import RunFolder

WORDS = ["strategy=naive", "benchmark.limit_per_class=5", "device=cpu", "hydra.run.dir=run"]


def to_a_file(path: Path) -> None:
    path.symlink_to(path.anchor / Path.cwd() / "victim")


def to_nothing(path: Path) -> None:
    path.symlink_to(Path.cwd() / "made")


def to_a_folder(path: Path) -> None:
    path.symlink_to(Path.cwd() / "folder")


def hard(path: Path) -> None:
    os.link(Path.cwd() / "victim", path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


NAMES = [
    *("metrics.jsonl", "clrun.log", ".hydra/config.yaml", ".hydra/overrides.yaml", "run.json"),
    *(".lock", "results.json", "checkpoints", "checkpoints/state-000000001.json", ".hydra"),
]


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every name below a folder, and the size and time of what is there."""
    paths = [path for path in folder.rglob("*") if path.name != "__pycache__"]
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in paths}


@pytest.fixture
def prepared(workplace: Path) -> Path:
    (workplace / "victim").write_text("mine")
    (workplace / "folder").mkdir()
    (workplace / "run").mkdir()
    return workplace


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plant", [to_a_file, to_nothing, to_a_folder, hard, fifo])
def test_whatever_is_planted_under_a_name_of_ours_the_folder_is_refused_untouched(
    plant: Callable[[Path], None], name: str, prepared: Path
):
    (prepared / "run" / name).parent.mkdir(exist_ok=True)
    plant(prepared / "run" / name)
    before = state_of(prepared)

    with pytest.raises(FolderError, match=rf"^{prepared}/run: {name} is .* Take it away\.$"):
        RunFolder(prepared / "run")

    assert state_of(prepared) == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "clrun.log", ".hydra/config.yaml", ".lock"])
def test_the_command_refuses_it_with_exit_code_3_in_one_line(name, prepared, capsys):
    (prepared / "run" / name).parent.mkdir(exist_ok=True)
    to_a_file(prepared / "run" / name)
    before = state_of(prepared)

    assert main(WORDS) == 3

    output = capsys.readouterr().err
    assert f"{name} is a link, and is not written to. Take it away." in output
    assert output.count("\n") == 1
    assert state_of(prepared) == before


def test_a_sweep_s_folder_is_looked_at_too(prepared, capsys):
    to_a_file(prepared / "run" / "multirun.yaml")

    assert main(["-m", *WORDS[:3], "seed=0,1", "hydra.sweep.dir=run"]) == 3

    assert "multirun.yaml is a link" in capsys.readouterr().err
    assert (prepared / "victim").read_text() == "mine"


def test_other_links_in_a_folder_are_the_user_s(prepared):
    to_a_folder(prepared / "run" / "data")
    (prepared / "run" / "plots").mkdir()

    require_own_names(prepared / "run")
    RunFolder(prepared / "run").close()


def test_every_file_that_a_run_writes_has_a_name_that_is_looked_at_and_is_explained(prepared):
    assert main([*WORDS, "checkpoint.every_steps=1", "logger=csv"]) == 0

    names = {path.name for path in (prepared / "run").iterdir()}
    assert names <= WRITTEN
    files = [path for path in (prepared / "run").rglob("*") if path.is_file()]
    written = [path.relative_to(prepared / "run").as_posix() for path in files]
    assert [name for name in written if not any(fnmatch(name, known) for known in RUN_FILES)] == []
    assert {name.partition("/")[0] for name in (*RUN_FILES, *SWEEP_FILES)} >= WRITTEN
