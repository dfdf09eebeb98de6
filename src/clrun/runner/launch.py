"""A run from Python: prepare, make the folder, save the configuration beside the results, run."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from clrun.config.run_config import RunConfig
from clrun.records.files import storage_errors, write_text
from clrun.records.results import Results
from clrun.records.run_folder import fresh_folder
from clrun.runner.prepare import prepare
from clrun.runner.run import run


def launch(config: RunConfig, folder: str | Path | None = None) -> Results:
    """Run a checked configuration; without a folder, in a fresh one under its `output_root`."""
    prepared = prepare(config)
    _ = prepared.data  # missing or damaged data are told before there is a folder
    chosen = fresh_folder(Path(config.root.output_root)) if folder is None else Path(folder)
    results = run(prepared, chosen.absolute())
    hydra_folder = chosen / ".hydra"
    with storage_errors(hydra_folder):
        hydra_folder.mkdir(exist_ok=True)
    write_text(hydra_folder / "config.yaml", OmegaConf.to_yaml(config.as_dict()))
    write_text(hydra_folder / "overrides.yaml", OmegaConf.to_yaml(list(config.overrides)))
    return results
