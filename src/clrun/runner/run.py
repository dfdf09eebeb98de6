"""One run, top to bottom: build, then learn and score one experience after another."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clrun.config.moment import Moment
from clrun.config.trust import needed
from clrun.console.display import Display, SilentDisplay
from clrun.errors import ConfigError, NoCheckpoint, StorageError, Unsavable
from clrun.fast.process import quick_process
from clrun.images.files import data_folder
from clrun.models.weights import origin
from clrun.profiling.activity import doing
from clrun.records.checkpoint import Checkpoints
from clrun.records.raw_log import RawLog
from clrun.records.results import Results
from clrun.records.run_folder import SAVED, RunFolder, point_latest
from clrun.records.run_record import ended, started
from clrun.runner.ahead import updates_ahead
from clrun.runner.cost import Cost
from clrun.runner.interrupt import Interrupted, noted_signals, raise_noted
from clrun.runner.learning import Pause, is_scored_after, learnt
from clrun.runner.made_strategy import made_strategy
from clrun.runner.out_of_memory import memory_errors
from clrun.runner.prepare import Prepared
from clrun.runner.recorder import Recorder
from clrun.runner.saving import Saver
from clrun.runner.shared import Beginning, Reached, keep_reached, no_such, shared_state, stop_at
from clrun.runner.sinks import logged
from clrun.runner.state import RunState
from clrun.runner.summary import partial_summary
from clrun.runner.trained import save_trained
from clrun.seeds import isolated
from clrun.strategies.shared_latents import SharedLatents
from clrun.streams.experience import Experience, merged
from clrun.streams.guard import nothing_else_opened
from clrun.streams.inputs import input_statistics

COUNTED_EXPERIENCES = 1000
"""To count the updates of an experience takes up to a few milliseconds; progress is then shown by
updates, else by experiences."""

log = logging.getLogger("clrun")

FOLDER = "The run's folder"

BEGINNING = {"offset": 0, "seconds": 0.0}
"""The state of a raw log without a line."""


def run(
    prepared: Prepared,
    folder: Path | RunFolder,
    display: Display | None = None,
    *,
    resumed: dict[str, Any] | None = None,
    shared: Beginning | None = None,
    latents: SharedLatents | None = None,
    is_latest: bool = True,
    at_pause: Pause | None = None,
) -> Results:
    """Train one strategy over one stream and write everything to `folder`, opened or not.

    `<output_root>/latest` leads there if `is_latest`.
    `resumed` is what `RunState.plain` gave earlier in the run; metrics.jsonl is cut back to there.
    Without it a run begins where `shared` ended, if that is given or the folder is that of a run
    which did not finish (`RunFolder.unfinished`) and began so; else with its first update.
    `latents` are where what frozen layers compute is kept for other runs, too.

    Raises:
        FolderError: the folder is in use or holds a run.
        NoCheckpoint: the state is none of such a run.
        NonFiniteLoss: the loss became NaN or infinite.
        OutOfMemory: there was not enough memory.
        Interrupted: a signal arrived.
    """
    how = _How(
        display=display, shared=shared, latents=latents, is_latest=is_latest, at_pause=at_pause
    )
    results = _run(prepared, folder, resumed, how)
    assert results is not None, "only a run with `until` stops before its end"
    return results


def run_until(
    moment: Moment,
    prepared: Prepared,
    folder: Path | RunFolder,
    *,
    resumed: dict[str, Any] | None = None,
    shared: Beginning | None = None,
    latents: SharedLatents | None = None,
    at_pause: Pause | None = None,
) -> None:
    """Train until a moment and save the state there, from which others begin (`Beginning`).

    Raises:
        ClrunError: the run has no such moment, or its state cannot be saved; else as `run`.
    """
    how = _How(shared=shared, latents=latents, is_latest=False, at_pause=at_pause, until=moment)
    _run(prepared, folder, resumed, how)


@dataclass(frozen=True, kw_only=True)
class _How:
    """How a run is shown, where it begins and where it stops."""

    display: Display | None = None
    shared: Beginning | None = None
    latents: SharedLatents | None = None
    is_latest: bool = True
    at_pause: Pause | None = None
    until: Moment | None = None


def _run(
    prepared: Prepared, folder: Path | RunFolder, resumed: dict[str, Any] | None, how: _How
) -> Results | None:
    """The run; None where it stopped at `how.until`."""
    with (
        noted_signals() as signals,  # until the record says how the run ended
        _recorded_outcome(
            folder if isinstance(folder, RunFolder) else RunFolder(folder), prepared
        ) as run_folder,
        memory_errors(prepared.config),
        closing(RawLog(run_folder.path / "metrics.jsonl")) as raw_log,
        _timed(run_folder, raw_log),
        prepared.device.applied(prepared.update_macs),
        quick_process(prepared.device),
        isolated(prepared.config.seed, "run", device=prepared.device.torch),
        _only_its_stream(prepared),
    ):
        if how.is_latest:
            point_latest(run_folder.path, _output_root(run_folder, prepared))
        with doing("setting up"):
            stream, state = _begun(prepared, raw_log, how)
        saver = _saver(prepared, run_folder, has_saved=resumed is not None)
        if resumed is None:
            if run_folder.is_continued:
                raw_log.load_state_dict(BEGINNING)
            resumed = shared_state(how.shared, run_folder, raw_log)
        if resumed is not None:
            _load(state, resumed, stream)
        log.info("%s on %s", prepared.config.label(), prepared.device.name)
        pause = _pause(how, prepared, saver, signals)
        is_part = how.until is not None  # which each of the runs that share it logs
        with logged(
            prepared, run_folder, state.recorder, raw_log.path, is_part=is_part
        ) as log_results:
            with _kept_if_interrupted(prepared, len(stream), state, saver, run_folder.path):
                found = _learnt(how.until, prepared, stream, state, pause, saver)
            if found is None:
                return None
            results = replace(found, folder=run_folder.path)
            results.save(run_folder.path)
            save_trained(prepared, state.strategy, run_folder.path)
            log_results(results)  # last: no logger can cost what is on the disk then
    log.info("completed: %s", results.metrics)
    return results


@contextmanager
def _only_its_stream(prepared: Prepared) -> Iterator[None]:
    """Let a run whose stream is sealed open no other, once it has its own."""
    _ = prepared.data
    with nothing_else_opened(sealed=prepared.is_sealed):
        yield


def _pause(how: _How, prepared: Prepared, saver: Saver, signals: list[int]) -> Pause:
    """What is done between two updates."""

    def pause(state: RunState) -> None:
        if how.at_pause is not None:
            how.at_pause(state)
        if how.until is not None:
            stop_at(how.until, state, prepared.keys)
        saver.pause(state)
        with state.whole():
            raise_noted(signals)

    return pause


def _learnt(
    until: Moment | None,
    prepared: Prepared,
    stream: list[Experience],
    state: RunState,
    pause: Pause,
    saver: Saver,
) -> Results | None:
    """The stream learnt; None where the run stops before, its state saved.

    Raises:
        ClrunError: it has no moment to stop at, or its state cannot be saved.
    """
    try:
        found = learnt(prepared, stream, state, pause, saver)
    except Reached:
        keep_reached(saver, state)
        log.info("stopped at the %s, for others to go on from", until)
        return None
    if until is not None:
        raise no_such(until)
    return found


def _output_root(run_folder: RunFolder, prepared: Prepared) -> Path:
    """Where run folders went when the run was started, of a run that goes on too."""
    return Path(str(run_folder.record.get("output_root", prepared.config.root.output_root)))


def content_record(prepared: Prepared) -> dict[str, Any]:
    """Where the data are looked for, what tells them from others, what their classes are and what
    the model is given of them; and the files of initial weights and of the network that chooses
    exemplars, if there are any."""
    given = prepared.config.nodes["benchmark"].values.get("data_root")
    data = {
        "root": str(data_folder(given)),
        "fingerprint": prepared.fingerprint,
        "class_names": list(prepared.data.class_names),
        "inputs": input_statistics(prepared.data),
    }
    chooser = None if prepared.chooser is None else origin(prepared.chooser.model)
    record = {"data": data, "weights": origin(prepared.model)}
    return record if chooser is None else {**record, "chooser": chooser}


def _begun(prepared: Prepared, raw_log: RawLog, how: _How) -> tuple[list[Experience], RunState]:
    """The experiences to learn, and the state of a run that has learnt none of them."""
    display = how.display or SilentDisplay()
    cost = Cost(prepared.load_seconds)
    with cost.phase("setup"):
        strategy, benchmark = made_strategy(prepared, how.latents), prepared.data
        stream = [merged(benchmark)] if strategy.whole_stream else list(benchmark.experiences)
    updates = None if isinstance(display, SilentDisplay) else _updates(prepared, len(stream))
    recorder = Recorder(
        raw_log,
        display,
        cost,
        experiences=len(stream),
        epochs=None if prepared.keys.train_iterations else prepared.keys.train_epochs,
        log_every=prepared.config.root.log_every,
        updates=updates,
        evaluations=_evaluations(prepared, len(stream), updates),
        skips=prepared.keys.on_nan == "skip",
    )
    return stream, RunState(strategy=strategy, cost=cost, recorder=recorder)


def _saver(prepared: Prepared, run_folder: RunFolder, *, has_saved: bool) -> Saver:
    """What saves the run's states, and keeps in run.json whether there are any."""
    config = prepared.config
    return Saver(
        Checkpoints(run_folder.path / "checkpoints", config.checkpoint.keep),
        config.checkpoint,
        {"config_hash": config.hash()},
        has_saved=has_saved,
        on_first=lambda: run_folder.update(states=SAVED),
        on_unsavable=lambda reason: run_folder.update(states=f"cannot be saved: {reason}"),
    )


def _load(state: RunState, resumed: dict[str, Any], stream: list[Experience]) -> None:
    """Go on from a state, with the experiences that were learnt before it.

    Raises:
        NoCheckpoint: it is none of such a run.
    """
    try:
        state.load(resumed)
    except (Unsavable, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise NoCheckpoint(f"the saved state does not fit this run: {reason}") from error
    state.strategy.recall(stream[: state.experience + state.is_learnt])


def _evaluations(prepared: Prepared, experiences: int, updates: int | None) -> int:
    """How many evaluations there will be, the one before training left out."""
    keys, every = prepared.keys, prepared.evaluation.config.every_steps
    by_steps = updates // every if updates and every else 0
    if keys.eval_every < 0:
        return by_steps + 1
    if keys.train_iterations is not None:
        return experiences + by_steps  # how many epochs there are is not known
    inside = sum(is_scored_after(epoch, keys) for epoch in range(keys.train_epochs))
    return experiences * (inside + 1) + by_steps


def _updates(prepared: Prepared, experiences: int) -> int | None:
    """How many updates there will be, if that is known; of a long stream nobody waits for it."""
    if prepared.keys.train_iterations is not None:
        return prepared.keys.train_iterations * experiences
    if experiences > COUNTED_EXPERIENCES:
        return None
    try:
        updates = updates_ahead(prepared.config, prepared.data)
    except ConfigError:  # of minibatches that cannot be made up, which the run itself says
        return None
    return None if updates is None else sum(updates)


@contextmanager
def _kept_if_interrupted(
    prepared: Prepared, experiences: int, state: RunState, saver: Saver, folder: Path
) -> Iterator[None]:
    """Save the state of an interrupted run, and write the results of what it has finished.

    Where something was half done the last state that was saved stands.
    """
    try:
        yield
    except Interrupted as interrupted:
        if state.is_whole and not interrupted.anywhere:
            saver.save(state)
        finished = len(state.scored.ends)
        noun = "experience was" if experiences == 1 else "experiences were"
        done = f"{finished} of {experiences} {noun} finished"
        said = f"{'Their results' if finished else FOLDER}: {folder}"
        if saver.has_saved:
            config = prepared.config
            nodes = (*config.nodes.values(), *config.plugins, *config.loggers)
            needs = needed(node.target for node in nodes)
            said += f". To go on: clrun resume {shlex.quote(str(folder))}"
            said += " --trust" if needs else ""
        if finished:
            partial_summary(prepared, state, f"interrupted: {done}").save(folder)
        raise Interrupted(interrupted.number, f"{done}.", said) from None


@contextmanager
def _recorded_outcome(run_folder: RunFolder, prepared: Prepared) -> Iterator[RunFolder]:
    """Keep run.json true, however the run inside ends, and give the folder back."""
    config = prepared.config
    try:
        if not run_folder.is_continued:
            first = started(config, run_folder.path, **prepared.machine)
            run_folder.update(**first, **content_record(prepared))  # from here on it can go on
            run_folder.keep_config(config)
        yield run_folder
    except (Interrupted, KeyboardInterrupt) as error:
        reason = str(error) or "interrupted."
        log.info("%s", reason)
        _record_end(run_folder, "interrupted", reason)
        raise
    except BaseException as error:
        log.exception("the run failed")
        _record_end(run_folder, "failed", f"{type(error).__name__}: {error}")
        raise
    else:
        run_folder.update(**ended("completed"))
    finally:
        run_folder.close()


@contextmanager
def _timed(run_folder: RunFolder, raw_log: RawLog) -> Iterator[None]:
    """Let the record of how the run ends have its seconds, which no change of the clock touches."""
    try:
        yield
    finally:
        run_folder.record["seconds"] = round(raw_log.seconds(), 3)


def _record_end(run_folder: RunFolder, status: str, reason: str) -> None:
    """Say in run.json how a run ended badly. What ended it is the failure to report."""
    with suppress(StorageError):
        run_folder.update(**ended(status, reason))
