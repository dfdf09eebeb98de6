"""clrun: continual-learning experiments from YAML. Importing this imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig
    from clrun.records.results import Results

__all__ = ["RunConfig", "compose", "run"]


def __getattr__(name: str) -> Any:
    if name == "RunConfig":
        from clrun.config.run_config import RunConfig  # pydantic takes as long as a help text

        return RunConfig
    raise AttributeError(f"module 'clrun' has no attribute {name!r}")


def compose(overrides: list[str] | None = None, **where: Any) -> RunConfig:
    """A checked configuration from command-line overrides, e.g. ["strategy=naive", "seed=3"].

    Raises:
        clrun.errors.ConfigError: bad input; one line for each problem.
    """
    from clrun.config.compose import compose as compose_checked  # Hydra takes 0.3 s to import

    return compose_checked(overrides or [], **where)


def run(config: RunConfig, folder: str | Path | None = None) -> Results:
    """Run an experiment, writing to `folder` (default: a fresh one under `output_root`)."""
    from clrun.fast.garbage import no_search

    with no_search(tricks=config.tricks):
        from clrun.runner.launch import launch  # torch takes seconds to import

    return launch(config, folder)
