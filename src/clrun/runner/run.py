"""One run, top to bottom: build, then learn and score one experience after another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from clrun.console.display import Display, SilentDisplay
from clrun.errors import ConfigError, StorageError
from clrun.fast.process import quick_process
from clrun.images.files import data_folder
from clrun.models.weights import origin
from clrun.profiling.activity import doing
from clrun.profiling.peaks import peak_bytes
from clrun.profiling.spans import updates
from clrun.records.raw_log import RawLog
from clrun.records.results import Results
from clrun.records.run_folder import RunFolder, point_latest
from clrun.records.run_record import ended, started
from clrun.runner.ahead import updates_ahead
from clrun.runner.cost import Cost
from clrun.runner.evaluation import Scores
from clrun.runner.interrupt import Interrupted, noted_signals, raise_noted
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import Prepared
from clrun.runner.recorder import Recorder
from clrun.runner.scored import trimmed
from clrun.runner.state import RunState
from clrun.runner.summary import json_keys, partial_summary, summary
from clrun.runner.trained import save_trained
from clrun.seeds import isolated
from clrun.strategies.run_keys import RunKeys
from clrun.streams.experience import Experience, merged
from clrun.streams.fingerprint import fingerprint

COUNTED_EXPERIENCES = 1000
"""To count the updates of an experience takes up to a few milliseconds; progress is then shown by
updates, else by experiences."""

log = logging.getLogger("clrun")

Pause = Callable[[RunState], None]
"""Called between two updates and between two experiences, where a run can be saved."""


def run(
    prepared: Prepared,
    folder: Path | RunFolder,
    display: Display | None = None,
    *,
    resumed: dict[str, Any] | None = None,
    is_latest: bool = True,
    at_pause: Pause | None = None,
) -> Results:
    """Train one strategy over one stream and write everything to `folder`, opened or not.

    `<output_root>/latest` leads there if `is_latest`.
    `resumed` is what `RunState.plain` gave earlier in the run; metrics.jsonl is cut back to there.

    Raises:
        FolderError: the folder is in use or holds a run.
        NonFiniteLoss: the loss became NaN or infinite.
        Interrupted: SIGINT or SIGTERM arrived.
    """
    with (
        _recorded_outcome(
            folder if isinstance(folder, RunFolder) else RunFolder(folder), prepared
        ) as run_folder,
        closing(RawLog(run_folder.path / "metrics.jsonl")) as raw_log,
        prepared.device.applied(prepared.update_macs),
        quick_process(prepared.device),
        isolated(prepared.config.seed, "run", device=prepared.device.torch),
        noted_signals() as signals,
    ):

        def pause(state: RunState) -> None:
            if at_pause is not None:
                at_pause(state)
            raise_noted(signals)

        if is_latest:
            point_latest(run_folder.path, Path(prepared.config.root.output_root))
        stream, state = _begun(prepared, raw_log, display or SilentDisplay())
        run_folder.update(data=_data(prepared), weights=origin(prepared.model))
        if resumed is not None:
            state.load(resumed)
        log.info("%s on %s", prepared.config.label(), prepared.device.name)
        with _kept_if_interrupted(prepared, len(stream), state, run_folder.path):
            learnt = _learnt(prepared, stream, state, pause)
        results = replace(learnt, folder=run_folder.path)
        results.save(run_folder.path)
        save_trained(prepared, state.strategy, run_folder.path)
    log.info("completed: %s", results.metrics)
    return results


def _data(prepared: Prepared) -> dict[str, Any]:
    """Where the data are looked for, what tells them from others, and what their classes are."""
    given = prepared.config.nodes["benchmark"].values.get("data_root")
    return {
        "root": str(data_folder(given)),
        "fingerprint": fingerprint(prepared.data),
        "class_names": list(prepared.data.class_names),
    }


def _begun(
    prepared: Prepared, raw_log: RawLog, display: Display
) -> tuple[list[Experience], RunState]:
    """The experiences to learn, and the state of a run that has learnt none of them."""
    cost = Cost(setup_seconds=prepared.load_seconds)
    with cost.phase("setup"):
        strategy, benchmark = made_strategy(prepared), prepared.data
        stream = [merged(benchmark)] if strategy.whole_stream else list(benchmark.experiences)
    recorder = Recorder(
        raw_log,
        display,
        cost,
        experiences=len(stream),
        epochs=prepared.keys.train_epochs,
        log_every=prepared.config.root.log_every,
        updates=None if isinstance(display, SilentDisplay) else _updates(prepared, len(stream)),
        evaluations=_evaluations(prepared.keys, len(stream)),
        skips=prepared.keys.on_nan == "skip",
    )
    return stream, RunState(strategy=strategy, cost=cost, recorder=recorder)


def _evaluations(keys: RunKeys, experiences: int) -> int:
    """How many evaluations there will be, the one before training left out."""
    if keys.eval_every < 0:
        return 1
    inside = sum(_is_scored_after(epoch, keys) for epoch in range(keys.train_epochs))
    return experiences * (inside + 1)


def _updates(prepared: Prepared, experiences: int) -> int | None:
    """How many updates there will be, if that is known; of a long stream nobody waits for it."""
    if experiences > COUNTED_EXPERIENCES:
        return None
    try:
        updates = updates_ahead(prepared.config, prepared.data)
    except ConfigError:  # of minibatches that cannot be made up, which the run itself says
        return None
    return None if updates is None else sum(updates)


def _learnt(prepared: Prepared, stream: list[Experience], state: RunState, pause: Pause) -> Results:
    """Learn the stream from where the state is, and score and record it on the way."""
    strategy, recorder, scored = state.strategy, state.recorder, state.scored
    keys, benchmark = prepared.keys, prepared.data
    if prepared.evaluation.config.initial and scored.initial is None:
        scored.initial = _evaluated(prepared, state, None)

    for experience in stream[state.experience :]:
        pause(state)
        index = experience.index
        state.begin(index)
        for step in state.cost.steps(updates(strategy.learn(experience, state.start), index)):
            recorder.update(index, step)
            if step.ends_epoch and _is_scored_after(step.epoch, keys):
                _evaluated(prepared, state, index, step.epoch)
            state.passed(step)
            pause(state)
        recorder.write(
            "experience",
            index,
            classes=list(experience.classes),
            class_names=[benchmark.class_names[label] for label in experience.classes],
            train_rows=len(experience.train.y),
            wall_seconds=state.cost.experience_seconds(),
        )
        is_scored = keys.eval_every >= 0 or index == len(stream) - 1
        scores = _evaluated(prepared, state, index) if is_scored else None
        scored.end_experience(evaluated=is_scored)
        recorder.evaluated(index, [] if scores is None else scores.experiences)
        recorder.write("memory", index, **json_keys(strategy.memory_rows()))
        recorder.write(
            "resource",
            index,
            rss_peak_bytes=peak_bytes(),
            device_peak_bytes=prepared.device.peak_bytes(),
        )
        state.finished(index)
    return summary(prepared, state)


def _is_scored_after(epoch: int, keys: RunKeys) -> bool:
    """Whether the run is scored in the middle of an experience; at its end it is anyway."""
    every = keys.eval_every
    return every > 0 and (epoch + 1) % every == 0 and epoch + 1 < keys.train_epochs


def _evaluated(
    prepared: Prepared, state: RunState, experience: int | None, epoch: int | None = None
) -> Scores:
    """Score the strategy as it is now, and record it; `experience` None is before training."""
    benchmark, evaluation, strategy = prepared.data, prepared.evaluation, state.strategy
    seen = len(benchmark) if strategy.whole_stream else (experience or 0) + 1
    with state.cost.phase("eval"), doing("evaluating"):
        scores = evaluation.scores(
            strategy,
            benchmark,
            seen=seen,
            minibatch=prepared.keys.eval_mb_size,
            hold=prepared.device.hold,
        )
    if experience is not None:
        state.scored.add(seen - 1, scores)
    state.recorder.write(
        "eval",
        experience,
        epoch,
        stream=evaluation.config.stream,
        accuracy=trimmed(scores.experiences),
        class_accuracy=scores.classes,
    )
    return scores


@contextmanager
def _kept_if_interrupted(
    prepared: Prepared, experiences: int, state: RunState, folder: Path
) -> Iterator[None]:
    """Write the results of the experiences that an interrupted run has finished."""
    try:
        yield
    except Interrupted as interrupted:
        finished = len(state.scored.ends)
        noun = "experience was" if experiences == 1 else "experiences were"
        done = f"{finished} of {experiences} {noun} finished"
        if not finished:
            raise Interrupted(interrupted.number, f"{done}. The run's folder: {folder}") from None
        partial_summary(prepared, state, f"interrupted: {done}").save(folder)
        raise Interrupted(interrupted.number, f"{done}. Their results: {folder}") from None


@contextmanager
def _recorded_outcome(run_folder: RunFolder, prepared: Prepared) -> Iterator[RunFolder]:
    """Keep run.json true, however the run inside ends, and give the folder back."""
    config = prepared.config
    try:
        run_folder.update(**started(config, run_folder.path, *prepared.hardware))
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


def _record_end(run_folder: RunFolder, status: str, reason: str) -> None:
    """Say in run.json how a run ended badly. What ended it is the failure to report."""
    with suppress(StorageError):
        run_folder.update(**ended(status, reason))
