"""A run from Python: prepare, read the data, make the folder, run."""

from __future__ import annotations

from pathlib import Path

from clrun.config.run_config import RunConfig
from clrun.records.results import Results
from clrun.records.run_folder import fresh_folder
from clrun.runner.prepare import prepare
from clrun.runner.run import run


def launch(config: RunConfig, folder: str | Path | None = None) -> Results:
    """Run a checked configuration; without a folder, in a fresh one under its `output_root`."""
    prepared = prepare(config)
    _ = prepared.data  # missing or damaged data are told before there is a folder
    chosen = fresh_folder(Path(config.root.output_root)) if folder is None else Path(folder)
    return run(prepared, chosen.absolute())
