"""The folder of one run: made exclusively, locked while written, never reused."""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.disk import locks
from clrun.disk.files import (
    NO_STORAGE,
    require_same,
    storage_error,
    storage_errors,
    unfinished,
    write_text,
)
from clrun.disk.locks import LockedElsewhere
from clrun.disk.opening import read_text
from clrun.disk.secrets import hidden
from clrun.errors import ConfigError, FolderError, StorageError
from clrun.profiling.spans import phase
from clrun.records.planted import require_own_names
from clrun.records.record_file import write_record

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from clrun.config.run_config import RunConfig


NOW = "${now:%Y-%m-%d}/${now:%H-%M-%S}"
UNNAMED = (f"multirun/{NOW}", f"outputs/{NOW}", f"${{output_root}}/{NOW}-${{clrun.id:}}")
"""What `hydra.run.dir` and `hydra.sweep.dir` are where nobody names a folder: Hydra's own where a
saved run is the whole configuration, else that of conf/config.yaml, which shows what `fresh_folder`
makes."""


RUNNING, DIED = "running", "died"
"""What a record says of a run until it ends, and what it means where nobody runs it any more."""

SAVED = "saved"
"""`states` of run.json once there is a state; before, it has none, or says why none can be."""

log = logging.getLogger("clrun")

WHOLE_FILES = (
    *("run.json", "results.json", "accuracy_matrix.csv", "checkpoints/model.safetensors"),
    *(".hydra/config.yaml", ".hydra/overrides.yaml"),
)
"""Those that appear whole or not at all; the states of a run look after themselves."""

LOCK = ".lock"
"""The file whose lock is held by the process that writes to a run folder."""


def require_writable(key: str, folder: str) -> None:
    """Refuse a folder that cannot be made, before anything starts; `key` is what names it.

    Permissions do not say it all, so a folder is made in the nearest one that exists, and removed.

    Raises:
        ConfigError, StorageError: it cannot be made.
    """
    path = os.path.abspath(folder)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise ConfigError(f"{key}={folder}: {path} is a file. Name a folder.")
    try:
        tempfile.TemporaryDirectory(dir=path, prefix=".clrun-").cleanup()
    except OSError as error:
        line = f"{key}={folder}: no folder can be made in {path}: {error.strerror}."
        raise (StorageError if error.errno in NO_STORAGE else ConfigError)(line) from None


def fresh_folder(output_root: Path, kind: str = "") -> Path:
    """A new folder `<output_root>/[kind/]<date>/<time>-<id>` that no other run has."""
    now = datetime.now()
    day = output_root / kind / now.strftime("%Y-%m-%d")
    with storage_errors(day):
        day.mkdir(parents=True, exist_ok=True)
        while True:
            folder = day / f"{now.strftime('%H-%M-%S')}-{secrets.token_hex(3)}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder


class RunFolder:
    """An open run folder. The lock dies with the process that holds it.

    Raises:
        FolderError: another process writes here, or the folder already holds a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: dict[str, Any] = {}
        self.is_continued = False
        require_free(path)
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            self._opened = os.stat(path)
        self._lock = _locked(path)
        try:
            require_unused(path)
        except FolderError:
            self.close()
            raise

    @classmethod
    def unfinished(cls, path: Path) -> RunFolder:
        """The folder of a run that did not finish, with its record, to go on with it.

        Raises:
            FolderError: another process writes there, the run is finished, or a name that it
                writes to is a link.
        """
        folder = cls.__new__(cls)
        folder.path, folder.is_continued = path, True
        require_own_names(path)
        with storage_errors(path):
            folder._opened = os.stat(path)
        folder._lock = _locked(path)
        folder.record = read_record(path)
        if folder.record.get("status") == "completed":  # while we looked
            folder.close()
            raise FolderError(f"{path}: is finished.")
        _clean(path)
        return folder

    def update(self, **values: Any) -> None:
        """Set keys of run.json.

        Raises:
            StorageError: it cannot be written, or the folder is gone.
        """
        self.record |= values
        with phase("write"):
            require_same(self.path, self._opened)
            write_record(self.path / "run.json", self.record)

    def keep_config(self, config: RunConfig) -> None:
        """Save the configuration where Hydra does, as it was understood.

        What Hydra itself saves there would mean something else another time or elsewhere: a path
        from where a run was started, `${oc.env:...}`.
        """
        from omegaconf import OmegaConf  # 0.1 s, which who only reads need not wait for

        folder = self.path / ".hydra"
        with storage_errors(folder):
            folder.mkdir(exist_ok=True)
        write_text(folder / "config.yaml", OmegaConf.to_yaml(hidden(_named(config))))
        if not (folder / "overrides.yaml").exists():  # from Python
            write_text(folder / "overrides.yaml", OmegaConf.to_yaml(hidden(list(config.overrides))))

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()


def _clean(path: Path) -> None:
    """Remove what a killed process left of the files that it was just writing."""
    with suppress(OSError):  # it is in nobody's way
        for file in WHOLE_FILES:
            for left in unfinished((path / file).parent, Path(file).name):
                left.unlink()


def _named(config: RunConfig) -> dict[str, Any]:
    """The configuration with the name of each option beside its target."""
    return {
        key: {"target": value["target"], "option": config.nodes[key].option, **value}
        if key in config.nodes
        else value
        for key, value in config.as_dict().items()
    }


def is_job(path: Path) -> bool:
    """Whether a run's folder is one of a sweep, whose folder `latest` leads to."""
    return (path.parent / "multirun.yaml").exists()


def point_latest(folder: Path, output_root: Path) -> None:
    """Let `<output_root>/latest` lead to this folder, if it is inside and the disk knows links."""
    try:
        target = folder.resolve().relative_to(output_root.resolve())
    except ValueError:
        return
    if not target.parts:  # the root itself
        return
    link = output_root / "latest"
    temporary = output_root / f".latest-{secrets.token_hex(4)}"
    try:
        if link.is_symlink() or not link.exists():  # never replace somebody's real folder
            temporary.symlink_to(target, target_is_directory=True)
            os.replace(temporary, link)
    except OSError as error:
        if error.errno in NO_STORAGE:
            raise storage_error(error, link) from error
        log.info("%s: does not lead to the newest run: %s", link, error.strerror or error)


def require_free(path: Path) -> None:
    """Refuse a folder that holds a run or gets one just now, and change nothing of it.

    Raises:
        FolderError: it does, or a name that a run writes to is a link.
    """
    require_own_names(path)
    with _locks_as_refusals(path):
        locks.require_free(path / LOCK)
    require_unused(path)


def require_unused(path: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        FolderError: it does.
    """
    status = run_status(path)
    if status is None:
        return
    done = f"{path}: holds a run already (status {status})."
    if status == "completed":
        raise FolderError(f"{done} Name another folder, or none for a fresh one.")
    raise FolderError(f"{done} Continue it with clrun resume {path}, or name another folder.")


def run_status(path: Path) -> str | None:
    """What became of the run in this folder, or None where there is none.

    "died" is one whose process ended without a word: its record says that it is running, and nobody
    holds its lock. "unknown" is one whose record is damaged.
    """
    if not (path / "run.json").exists():
        return None
    status = str(read_record(path).get("status", "unknown"))
    return DIED if status == RUNNING and _is_left(path) else status


def several_runs(path: Path) -> str | None:
    """What is wrong with a folder of runs, such as that of a sweep, as the folder of one."""
    runs = sorted(place.parent for place in path.glob("*/run.json"))
    if not runs and not (path / "multirun.yaml").exists():
        return None
    example = f", e.g. {runs[0]}" if runs else ""
    return f"holds several runs. Name the folder of one of them{example}."


def _is_left(path: Path) -> bool:
    try:
        return locks.is_free(path / LOCK)
    except OSError:  # not to be seen from here, such as on a disk that is read-only
        return False


def read_record(path: Path) -> dict[str, Any]:
    """The run.json of a folder; empty where it is damaged or not there."""
    try:
        content = json.loads(read_text(path / "run.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _locked(path: Path) -> BaseFileLock:
    with _locks_as_refusals(path):
        try:
            return locks.take(path / LOCK)
        except OSError as error:
            raise StorageError(f"{path}: cannot be locked: {error.strerror or error}.") from error


@contextmanager
def _locks_as_refusals(path: Path) -> Iterator[None]:
    """Say of a folder that another process writes there."""
    try:
        yield
    except LockedElsewhere as error:
        holder = f" ({error})" if str(error) else ""
        raise FolderError(f"{path}: another run is writing here{holder}.") from None
