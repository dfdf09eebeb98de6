"""A run that did not finish, found and opened to go on with it. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError
from clrun.records.run_folder import RunFolder, read_record, run_status, several_runs


@dataclass(frozen=True)
class Unfinished:
    """Its folder, locked for this process, and its configuration, checked again."""

    folder: RunFolder
    config: RunConfig


def open_unfinished(path: Path) -> Unfinished | None:
    """The run in a folder, to go on with it; None where it is finished.

    Raises:
        ConfigError: there is no run, or its record is none of a run.
        FolderError: another process writes there.
    """
    _require_run(path)
    if run_status(path) == "completed":
        return None
    folder = RunFolder.unfinished(path)
    try:
        return Unfinished(folder, RunConfig.of_plain(folder.record.get("config")))
    except ConfigError as error:
        folder.close()
        raise ConfigError([f"{path}/run.json: {problem}" for problem in error.problems]) from None
    except BaseException:
        folder.close()
        raise


def _require_run(path: Path) -> None:
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such folder.")
    if not read_record(path):
        if run_status(path) is not None:
            raise ConfigError(f"{path}/run.json: is damaged, and says what the run is.")
        if several := several_runs(path):
            raise ConfigError(f"{path}: {several}")
        raise ConfigError(f"{path}: holds no run, for there is no run.json.")
