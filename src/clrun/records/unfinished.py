"""A run that did not finish, found and opened to go on with it. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

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
        if several := _of_a_sweep(path) or several_runs(path):
            raise ConfigError(f"{path}: {several}")
        raise ConfigError(f"{path}: holds no run, for there is no run.json.")


def _of_a_sweep(path: Path) -> str | None:
    """How to go on with a sweep that no process here goes on with by itself; None: there is none.

    The words of one in Hydra's own loop are said again: its launcher and its sweeper are others'.
    """
    if (path / "sweep.jsonl").exists():  # from Python: the verb does what is missing of it
        return f"holds a sweep. To go on with it: clrun resume {quote(str(path))}"
    if (path / "multirun.yaml").exists():
        return (
            "holds a sweep without a manifest, run by Hydra's own loop. To go on with it, say its "
            f"words again with hydra.sweep.dir={quote(str(path))}, and without "
            "hydra/launcher=basic if they name that. What is completed stays."
        )
    return None
