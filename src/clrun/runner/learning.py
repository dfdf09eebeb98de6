"""Learning and scoring a stream, from wherever a run is in it: what is between two pauses.

Everything is recorded where it happens, and the state says what comes next, so that a run that goes
on from any state repeats nothing and leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Callable

from clrun.profiling.activity import doing
from clrun.profiling.spans import updates
from clrun.records.results import Results
from clrun.runner.evaluation import Scores
from clrun.runner.interrupt import look
from clrun.runner.prepare import Prepared
from clrun.runner.recorder import noted
from clrun.runner.saving import Saver
from clrun.runner.scored import trimmed
from clrun.runner.state import RunState
from clrun.runner.summary import json_keys, summary
from clrun.strategies.run_keys import RunKeys
from clrun.streams.experience import Experience

Pause = Callable[[RunState], None]
"""Called between two updates and between two experiences, where a run can be saved."""


def learnt(
    prepared: Prepared, stream: list[Experience], state: RunState, pause: Pause, saver: Saver
) -> Results:
    """Learn the stream from where the state is, and score and record it on the way."""
    scored = state.scored
    if prepared.evaluation.config.initial and scored.initial is None:
        scored.initial = _evaluated(prepared, state, None)

    for experience in stream[state.experience :]:
        pause(state)
        state.begin(experience.index)
        if not state.is_learnt:
            _learn(prepared, experience, state, pause)
        _score(prepared, experience.index, state, is_last=experience is stream[-1])
        saver.after_experience(state)
    return summary(prepared, state)


def _learn(prepared: Prepared, experience: Experience, state: RunState, pause: Pause) -> None:
    """Learn an experience, or the rest of it, and record it; it is to be scored then."""
    index, recorder = experience.index, state.recorder
    _score_epoch(prepared, index, state)
    learning = state.strategy.learn(experience, state.start)
    for step in state.cost.steps(updates(learning, index)):
        recorder.update(index, step)
        state.passed(step)
        if step.ends_epoch and is_scored_after(step.epoch, prepared.keys):
            state.owed = step.epoch
            _score_epoch(prepared, index, state)
        pause(state)
    recorder.write(
        "experience",
        index,
        classes=list(experience.classes),
        class_names=[prepared.data.class_names[label] for label in experience.classes],
        train_rows=len(experience.train.y),
        wall_seconds=state.cost.experience_seconds(),
        **noted("vitals", state.strategy.vitals()),
    )
    state.learnt()


def _score_epoch(prepared: Prepared, index: int, state: RunState) -> None:
    """Score the run in the middle of an experience, if that is still to be done."""
    if state.owed is not None:
        _evaluated(prepared, state, index, state.owed)
        state.owed = None


def _score(prepared: Prepared, index: int, state: RunState, *, is_last: bool) -> None:
    """Score and record what an experience left."""
    recorder = state.recorder
    is_scored = prepared.keys.eval_every >= 0 or is_last
    scores = _evaluated(prepared, state, index) if is_scored else None
    state.scored.end_experience(evaluated=is_scored)
    recorder.evaluated(index, [] if scores is None else scores.experiences)
    recorder.write("memory", index, **json_keys(state.strategy.memory_rows()))
    process, device = state.cost.peaks(prepared.device.peak_bytes())
    recorder.write("resource", index, rss_peak_bytes=process, device_peak_bytes=device)
    state.finished(index)


def is_scored_after(epoch: int, keys: RunKeys) -> bool:
    """Whether the run is scored in the middle of an experience; at its end it is anyway."""
    every = keys.eval_every
    return every > 0 and (epoch + 1) % every == 0 and epoch + 1 < keys.train_epochs


def _evaluated(
    prepared: Prepared, state: RunState, experience: int | None, epoch: int | None = None
) -> Scores:
    """Score the strategy as it is now, and record it; `experience` None is before training."""
    benchmark, evaluation, strategy = prepared.data, prepared.evaluation, state.strategy
    seen = len(benchmark) if strategy.whole_stream else (experience or 0) + 1
    with state.whole(), state.cost.phase("eval"), doing("evaluating", stoppable=False):
        scores = evaluation.scores(
            strategy,
            benchmark,
            seen=seen,
            minibatch=prepared.keys.eval_mb_size,
            hold=prepared.device.hold,
            look=look,
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
