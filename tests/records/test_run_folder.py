from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
from contextlib import closing, nullcontext
from datetime import datetime

import pytest
import yaml

import clrun
from clrun.disk import locks
from clrun.errors import FolderError, StorageError
from clrun.records.run_folder import RunFolder, fresh_folder, point_latest, run_status

HOLDER = """
import sys
from pathlib import Path
from clrun.records.run_folder import RunFolder

folder = RunFolder(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_fresh_folders_of_one_second_are_different(tmp_path):
    folders = [fresh_folder(tmp_path) for _ in range(50)]

    assert len(set(folders)) == 50
    assert all(folder.is_dir() and not any(folder.iterdir()) for folder in folders)


def test_a_fresh_folder_is_named_by_date_and_time(tmp_path):
    before = datetime.now().replace(microsecond=0)

    folder = fresh_folder(tmp_path / "outputs", "multirun")

    date, time = folder.relative_to(tmp_path / "outputs" / "multirun").parts
    assert re.fullmatch(r"\d\d-\d\d-\d\d-[0-9a-f]{6}", time)
    made = datetime.strptime(f"{date} {time[:8]}", "%Y-%m-%d %H-%M-%S")
    assert before <= made <= datetime.now()


def test_a_name_that_another_process_took_first_is_not_used(tmp_path, monkeypatch):
    names = iter(["aaaaaa", "aaaaaa", "bbbbbb"])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(names))
    first = fresh_folder(tmp_path)

    second = fresh_folder(tmp_path)

    assert first != second
    assert all(folder.is_dir() for folder in (first, second))


def test_no_folder_can_be_made_below_a_file(tmp_path):
    (tmp_path / "outputs").write_text("")

    with pytest.raises(StorageError, match=r"outputs/.*: Not a directory\."):
        fresh_folder(tmp_path / "outputs")


def test_run_json_holds_the_last_value_of_each_key(tmp_path):
    folder = RunFolder(tmp_path / "run")

    folder.update(status="running", seeds={"seed": 3})
    folder.update(status="completed")
    folder.close()

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record == {"status": "completed", "seeds": {"seed": 3}}


def test_the_configuration_is_saved_as_it_was_understood_whatever_hydra_saved(tmp_path):
    config = clrun.compose(["strategy=naive", "seed=3"])
    ours, hydras = RunFolder(tmp_path / "ours"), RunFolder(tmp_path / "hydras")
    (hydras.path / ".hydra").mkdir()
    (hydras.path / ".hydra" / "config.yaml").write_text("seed: ${oc.env:SEED}")
    (hydras.path / ".hydra" / "overrides.yaml").write_text("- seed=${oc.env:SEED}")

    for folder in (ours, hydras):
        folder.keep_config(config)
        folder.close()

    saved = [
        yaml.safe_load((folder.path / ".hydra" / "config.yaml").read_text())
        for folder in (ours, hydras)
    ]
    overrides = yaml.safe_load((ours.path / ".hydra" / "overrides.yaml").read_text())
    named = config.as_dict()
    for group, node in config.nodes.items():
        named[group]["option"] = node.option
    assert saved == [named] * 2
    assert overrides == ["strategy=naive", "seed=3"]
    assert (hydras.path / ".hydra" / "overrides.yaml").read_text() == "- seed=${oc.env:SEED}"


def test_a_folder_that_holds_a_run_is_refused_and_left_as_it_is(tmp_path):
    folder = RunFolder(tmp_path)
    folder.update(status="completed")
    folder.close()
    before = (tmp_path / "run.json").read_bytes()

    with pytest.raises(FolderError, match=r"holds a run already \(status completed\)") as refused:
        RunFolder(tmp_path)

    assert refused.value.exit_code == 3
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_refused_folder_is_not_locked_by_the_one_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"status": "failed"}')
    with pytest.raises(FolderError):
        RunFolder(tmp_path)
    (tmp_path / "run.json").unlink()

    RunFolder(tmp_path).close()


KILLED = """
import os, signal, sys
from pathlib import Path
from clrun.records.run_folder import RunFolder, run_status
folder = RunFolder(Path(sys.argv[1]))
folder.update(status="running")
print(run_status(Path(sys.argv[1])), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_process_was_killed_has_died_and_its_folder_stays_as_it_is(tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, check=False
    )
    before = {path: path.stat() for path in tmp_path.rglob("*")}

    status = run_status(tmp_path)
    with pytest.raises(FolderError, match=r"holds a run already \(status died\)"):
        RunFolder(tmp_path)

    assert killed.stdout == "running\n", killed.stderr
    assert status == "died"
    after = {path: path.stat() for path in tmp_path.rglob("*")}
    assert [stat.st_mtime_ns for stat in after.values()] == [
        stat.st_mtime_ns for stat in before.values()
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\x00"])
def test_a_folder_with_a_damaged_run_json_is_refused_too(content, tmp_path):
    (tmp_path / "run.json").write_text(content)

    with pytest.raises(FolderError, match=r"holds a run already \(status unknown\)"):
        RunFolder(tmp_path)


def test_a_folder_with_other_files_can_be_used(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".hydra").mkdir()

    RunFolder(tmp_path).close()

    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_can_be_opened_again_once_closed(tmp_path):
    RunFolder(tmp_path).close()

    RunFolder(tmp_path).close()


def test_a_folder_is_refused_while_another_process_writes_and_free_when_it_dies(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "locked\n"

        with pytest.raises(
            FolderError, match=rf"another run is writing here \(process {holder.pid} on .+\)\.$"
        ) as refused:
            RunFolder(tmp_path)

        holder.kill()
        holder.wait()
    assert refused.value.exit_code == 3
    RunFolder(tmp_path).close()


def test_a_disk_without_locks_is_reported(tmp_path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)

    with pytest.raises(StorageError, match="cannot be locked: No locks available"):
        RunFolder(tmp_path)


def test_latest_leads_to_the_newest_run(tmp_path):
    for name in ("first", "second"):
        folder = RunFolder(tmp_path / "2030-01-01" / name)
        point_latest(folder.path, tmp_path)
        folder.close()

    link = tmp_path / "latest"
    assert os.readlink(link) == "2030-01-01/second"  # relative: the root can be moved
    assert link.resolve() == tmp_path / "2030-01-01" / "second"
    assert sorted(os.listdir(tmp_path)) == ["2030-01-01", "latest"]


def test_latest_replaces_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "latest").symlink_to("gone")
    folder = RunFolder(tmp_path / "run")

    point_latest(folder.path, tmp_path)

    folder.close()
    assert (tmp_path / "latest").resolve() == tmp_path / "run"


def test_latest_never_replaces_a_folder_of_that_name(tmp_path):
    (tmp_path / "latest").mkdir()
    folder = RunFolder(tmp_path / "run")

    point_latest(folder.path, tmp_path)

    folder.close()
    assert not (tmp_path / "latest").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["latest", "run"]


@pytest.mark.parametrize("root", ["outputs", "run"])
def test_latest_is_left_alone_by_a_run_that_is_not_inside_the_root(root, tmp_path):
    (tmp_path / "outputs").mkdir()
    folder = RunFolder(tmp_path / "run")

    point_latest(folder.path, tmp_path / root)

    folder.close()
    assert os.listdir(tmp_path / "outputs") == []
    assert set(os.listdir(tmp_path / "run")) <= {".lock"}


@pytest.mark.parametrize(("code", "is_told"), [(errno.EPERM, False), (errno.ENOSPC, True)])
def test_a_disk_that_knows_no_links_has_no_latest(tmp_path, monkeypatch, code, is_told):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "symlink", refuse)
    (tmp_path / "run").mkdir()

    with pytest.raises(StorageError, match="latest: No space") if is_told else nullcontext():
        point_latest(tmp_path / "run", tmp_path)

    assert os.listdir(tmp_path) == ["run"]


def test_what_a_killed_process_was_writing_is_removed_when_its_run_goes_on(tmp_path):
    with closing(RunFolder(tmp_path)) as folder:
        folder.update(status="running")
    kept = (".lock", "run.json", ".notes.abcdefgh", ".run.json", "checkpoints/model.safetensors")
    left = (
        ".run.json.abcd_f12",
        ".results.json.abcdefgh",
        "checkpoints/.model.safetensors.12345678",
    )
    (tmp_path / "checkpoints").mkdir()
    for name in (*kept[2:], *left):
        (tmp_path / name).write_text("")

    RunFolder.unfinished(tmp_path).close()

    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == set(kept)


def test_a_run_that_was_completed_since_it_was_looked_at_is_not_opened_to_go_on(tmp_path):
    finished = RunFolder(tmp_path / "run")
    finished.update(status="completed")
    finished.close()

    with pytest.raises(FolderError, match=r"run: is finished\.$"):
        RunFolder.unfinished(tmp_path / "run")

    assert locks.is_free(tmp_path / "run" / ".lock")
