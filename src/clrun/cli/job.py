"""The job Hydra calls: one run in the folder Hydra made, told on the screen as it goes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clrun.config.check import check
from clrun.config.run_config import RunConfig
from clrun.console.display import make_console, make_display
from clrun.console.downloads import Downloads
from clrun.console.tables import print_results
from clrun.runner.prepare import Prepared, notes, prepare
from clrun.runner.run import run


class SingleRun:
    """The job of one run. Built before the run folder: all that can be wrong is told until then."""

    def __init__(self, config: RunConfig) -> None:
        with Downloads(make_console()) as downloads:
            self._prepared = prepare(config, downloads)
            _ = self._prepared.data
        self._failure: BaseException | None = None

    def __call__(self, _: DictConfig) -> float | None:
        """Called by Hydra, which would tell a failure in its own words: kept for afterwards."""
        try:
            return _run(self._prepared)
        except BaseException as error:
            self._failure = error
            return None

    def raise_failure(self) -> None:
        """Raise what stopped the run, if anything did."""
        if self._failure is not None:
            raise self._failure


def job_of_a_sweep(tree: DictConfig) -> float | None:
    """One job of a sweep, in whatever process the launcher chose; returns the final accuracy."""
    hydra_node = HydraConfig.get()
    whole = cast(DictConfig, OmegaConf.merge({"hydra": hydra_node}, cast(Any, tree)))
    return _run(prepare(check(whole, list(hydra_node.overrides.task))))


def _run(prepared: Prepared) -> float | None:
    start = time.monotonic()
    config, console = prepared.config, make_console()
    for note in [*notes(config), *prepared.device.notes()]:
        print(f"clrun: note: {note}", file=sys.stderr)
    folder = Path(HydraConfig.get().runtime.output_dir)
    display = make_display(console)
    display.title(f"{config.label()} on {prepared.device.name}: {config.nodes['model'].option}")
    try:
        results = run(prepared, folder, display)
    finally:
        display.close()
    print_results(console, results, folder, time.monotonic() - start)
    return results.metrics["acc_final"]
