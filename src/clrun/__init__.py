"""clrun: continual-learning experiments from YAML. Importing this imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from clrun.config.run_config import RunConfig
    from clrun.records.results import Results
    from clrun.runner.loading import TrainedModel
    from clrun.streams.experience import Benchmark

__version__ = "0.1.0"
__all__ = ["RunConfig", "__version__", "compose", "load", "resume", "run"]


def __getattr__(name: str) -> Any:
    if name == "RunConfig":
        from clrun.config.run_config import RunConfig  # pydantic takes as long as a help text

        return RunConfig
    raise AttributeError(f"module 'clrun' has no attribute {name!r}")


def compose(overrides: list[str] | None = None, *, trust: bool = False, **where: Any) -> RunConfig:
    """A checked configuration from command-line overrides, e.g. ["strategy=naive", "seed=3"].

    `config_dirs=[...]` are folders of options; with `trust` their files may name code of their own.

    Raises:
        clrun.errors.ConfigError: bad input; one line for each problem.
    """
    from clrun.config.compose import compose as compose_checked  # Hydra takes 0.3 s to import

    return compose_checked(overrides or [], trust=trust, **where)


def run(
    config: RunConfig,
    folder: str | Path | None = None,
    *,
    benchmark: Benchmark | None = None,
    model: nn.Module | None = None,
    trust: bool = False,
) -> Results:
    """Run an experiment, writing to `folder` (default: a fresh one under `output_root`).

    A `benchmark` (see `Benchmark.of_arrays`) and a `model` of one's own take the place of those
    that are configured. The model gives logits [N, num_classes], and is trained where it is.
    `trust` lets a run that `selection.model` names be of code that is neither clrun's nor an
    installed package's.

    Raises:
        clrun.errors.ClrunError: bad input, or the run failed.
    """
    from clrun.config.run_config import RunConfig as Checked
    from clrun.config.trust import trusting, typed
    from clrun.errors import ConfigError
    from clrun.fast.garbage import no_search

    if not isinstance(config, Checked):
        kind = type(config).__name__
        raise ConfigError(f"config: is a {kind}. It must be what clrun.compose gives.")
    if config.repeats.seeds is not None or config.repeats.references:
        raise ConfigError("seeds, references: are for the command line. clrun.run makes one run.")

    with no_search(tricks=config.tricks):  # torch takes seconds to import
        from clrun.records.run_folder import fresh_folder
        from clrun.runner.prepare import ready
        from clrun.runner.run import run as run_prepared

    with trusting(typed([], everything=trust)):
        prepared = ready(config, benchmark=benchmark, model=model)
    chosen = fresh_folder(Path(config.root.output_root)) if folder is None else Path(folder)
    return run_prepared(prepared, chosen.absolute())


def load(
    folder: str | Path,
    model: nn.Module | None = None,
    *,
    device: str | None = None,
    trust: bool = False,
) -> TrainedModel:
    """The trained model of a finished run: `.model`, `.transform`, `.class_names`, `.predict(x)`.

    `folder` is the run's, or its model.safetensors. A `model` of one's own gets the weights, as
    the run was given one. `device` is cpu, cuda or mps; None is the run's where there is such a
    device, else the CPU. `trust` lets the file name code that is neither clrun's nor an installed
    option's.

    Raises:
        clrun.errors.ConfigError: there is no such model, it is damaged, or cannot be made here.
    """
    from clrun.fast.garbage import no_search

    with no_search(tricks=True):  # torch takes seconds to import
        from clrun.runner.loading import load as load_model

    return load_model(folder, model, device=device, trust=trust)


def resume(
    folder: str | Path,
    *,
    benchmark: Benchmark | None = None,
    model: nn.Module | None = None,
    force: bool = False,
    trust: bool = False,
) -> Results:
    """Go on with a run that did not finish, to the results that it would have had.

    A `benchmark` and a `model` of one's own are handed over again, the model as it was before the
    run. `force` goes on too where versions, sources, data or the machine are not what they were.
    `trust` lets the folder name code that is neither clrun's nor an installed package's.

    Raises:
        clrun.errors.ClrunError: there is nothing to go on with, or the run failed.
    """
    from clrun.config.trust import trusting, typed
    from clrun.errors import FolderError
    from clrun.fast.garbage import no_search
    from clrun.records.run_folder import is_job
    from clrun.records.unfinished import open_unfinished

    path = Path(folder).absolute()
    with trusting(typed([], everything=trust)):
        unfinished = open_unfinished(path)
    if unfinished is None:
        raise FolderError(f"{path}: is finished.")
    try:
        with no_search(tricks=unfinished.config.tricks):  # torch takes seconds to import
            from clrun.runner.resume import continuation
            from clrun.runner.run import run as run_prepared

        with trusting(typed([], everything=trust)):  # of the runs that this one names, too
            ready = continuation(unfinished, force=force, benchmark=benchmark, model=model)
        return run_prepared(
            ready.prepared, unfinished.folder, resumed=ready.state, is_latest=not is_job(path)
        )
    finally:
        unfinished.folder.close()
