"""The job Hydra calls: one run in the folder Hydra made, told on the screen as it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clrun.config.check import check
from clrun.config.run_config import RunConfig
from clrun.console.display import make_console, make_display
from clrun.console.tables import print_results
from clrun.runner.prepare import Prepared, notes, prepare
from clrun.runner.run import run


def single(config: RunConfig) -> Callable[[DictConfig], float | None]:
    """The job of one run, prepared now: bad data or a missing device is told before any folder."""
    prepared = prepare(config)

    def job(_: DictConfig) -> float | None:
        return _run(prepared)

    return job


def job_of_a_sweep(tree: DictConfig) -> float | None:
    """One job of a sweep, in whatever process the launcher chose; returns the final accuracy."""
    hydra_node = HydraConfig.get()
    whole = OmegaConf.merge({"hydra": hydra_node}, tree)
    return _run(prepare(check(whole, list(hydra_node.overrides.task))))  # type: ignore[arg-type]


def _run(prepared: Prepared) -> float | None:
    start = time.monotonic()
    config, console = prepared.config, make_console()
    for note in notes(config):
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
