"""Learning and scoring a stream, from wherever a run is in it: what is between two pauses.

Everything is recorded where it happens, and the state says what comes next, so that a run that goes
on from any state repeats nothing and leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clrun.profiling.activity import doing
from clrun.profiling.spans import updates
from clrun.records.results import Results
from clrun.runner.interrupt import look
from clrun.runner.judged import Predicts
from clrun.runner.packs import Feed
from clrun.runner.prepare import Prepared
from clrun.runner.recorder import noted
from clrun.runner.saving import Saver
from clrun.runner.scored import trimmed
from clrun.runner.scores import Scores
from clrun.runner.state import RunState
from clrun.runner.summary import json_keys, summary
from clrun.strategies.run_keys import RunKeys
from clrun.strategies.step import Step
from clrun.streams.experience import Experience

Pause = Callable[[RunState], None]
"""Called between two updates and between two experiences, where a run can be saved."""

MOST_CONFUSED = 2**18
"""Pairs of classes in all lines of a run together, each some 12 characters if it is there at all:
100 experiences of 50 classes have room, 2,000 do not."""


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
    _score_inside(prepared, index, state)
    learning = state.strategy.learn(experience, state.start)
    for step in state.cost.steps(updates(learning, index)):
        recorder.update(index, step)
        state.passed(step)
        if _is_scored_inside(prepared, step, state):
            state.owed = step.epoch
            _score_inside(prepared, index, state)
        pause(state)
    recorder.write(
        "experience",
        index,
        classes=list(experience.classes),
        class_names=[prepared.data.class_names[label] for label in experience.classes],
        train_rows=len(experience.train.y),
        **_tested(prepared, experience, state),
        wall_seconds=state.cost.experience_seconds(),
        **noted("vitals", state.strategy.vitals()),
    )
    state.learnt()


def _score_inside(prepared: Prepared, index: int, state: RunState) -> None:
    """Score the run in the middle of an experience, if that is still to be done.

    An epoch that is scored is so on all rows, also where `eval.every_steps` falls on its end.
    """
    if state.owed is None:
        return
    epoch, is_between_epochs = state.owed, state.start.iteration == 0
    if is_between_epochs and is_scored_after(epoch, prepared.keys):
        _evaluated(prepared, state, index, epoch)
    else:
        _evaluated_on_curve(prepared, state, index, epoch)
    state.owed = None


def _score(prepared: Prepared, index: int, state: RunState, *, is_last: bool) -> None:
    """Score and record what an experience left."""
    recorder = state.recorder
    is_scored = prepared.keys.eval_every >= 0 or is_last
    scores = _evaluated(prepared, state, index, is_last=is_last) if is_scored else None
    state.scored.end_experience(evaluated=is_scored)
    recorder.evaluated(index, [] if scores is None else scores.experiences)
    recorder.write("memory", index, **json_keys(state.strategy.memory_rows()))
    process, device = state.cost.peaks(prepared.device.peak_bytes())
    recorder.write("resource", index, rss_peak_bytes=process, device_peak_bytes=device)
    state.finished(index)


def is_scored_after(epoch: int, keys: RunKeys) -> bool:
    """Whether the run is scored after an epoch inside an experience; at its end it is anyway."""
    every = keys.eval_every
    is_inside = keys.train_iterations is not None or epoch + 1 < keys.train_epochs
    return every > 0 and (epoch + 1) % every == 0 and is_inside


def _tested(prepared: Prepared, experience: Experience, state: RunState) -> dict[str, int]:
    """How many rows the experience is scored on; the whole stream is so one by one."""
    if state.strategy.whole_stream:
        return {}
    return {"test_rows": prepared.evaluation.size(experience)}


def _is_scored_inside(prepared: Prepared, step: Step, state: RunState) -> bool:
    """Whether the run is scored after this update; after an experience it is anyway."""
    keys, every = prepared.keys, prepared.evaluation.config.every_steps
    if keys.is_over(state.start.epoch, state.made):
        return False
    if step.ends_epoch and is_scored_after(step.epoch, keys):
        return True
    return every is not None and state.cost.train_steps % every == 0


def _evaluated(
    prepared: Prepared,
    state: RunState,
    experience: int | None,
    epoch: int | None = None,
    *,
    is_last: bool = False,
) -> Scores:
    """Score the strategy as it is now, and record it; `experience` None is before training."""
    evaluation, is_end = prepared.evaluation, experience is not None and epoch is None
    seen = _seen(prepared, state, experience)
    with _evaluating(prepared, state) as (strategy, feed):
        scores = evaluation.scores(strategy, prepared.data, seen=seen, feed=feed, detailed=is_end)
    if experience is not None:
        state.scored.add(seen - 1, scores, state.cost.train_steps)
    state.recorder.write(
        "eval",
        experience,
        epoch,
        stream=evaluation.config.stream,
        **({} if experience is None else {"seen": seen}),
        **_spent(state),
        accuracy=trimmed(scores.experiences),
        class_accuracy=scores.classes,
        **({} if scores.subset is None else {"curve": trimmed(scores.subset)}),
        **_task_aware(scores.task_aware),
        **_detail(scores, with_confusion=is_last or _has_room_for_confusion(prepared)),
    )
    return scores


def _evaluated_on_curve(prepared: Prepared, state: RunState, experience: int, epoch: int) -> None:
    """Score what was seen, on the rows that `eval.subset` leaves, and record that alone. Where it
    leaves all, the line is no less one of the curve: no matrix has it."""
    evaluation, seen = prepared.evaluation, _seen(prepared, state, experience)
    with _evaluating(prepared, state) as (strategy, feed):
        curve, aware = evaluation.subset_scores(strategy, prepared.data, seen=seen, feed=feed)
    state.scored.add_inside(seen - 1, curve, state.cost.train_steps, aware)
    values = {"stream": evaluation.config.stream, "seen": seen, "curve": trimmed(curve)}
    own = {} if aware is None else {"task_aware_curve": trimmed(aware)}
    state.recorder.write("eval", experience, epoch, **values, **own, **_spent(state))


def _task_aware(scores: Scores | None) -> dict[str, Any]:
    """The same accuracies with task ids, where there are any."""
    if scores is None:
        return {}
    curve = {} if scores.subset is None else {"curve": trimmed(scores.subset)}
    found = {"accuracy": trimmed(scores.experiences), "class_accuracy": scores.classes, **curve}
    return {f"task_aware_{name}": value for name, value in found.items()}


def _spent(state: RunState) -> dict[str, int | None]:
    """What learning has cost until an evaluation, beside its updates and seconds."""
    macs = state.strategy.train_macs
    return {"patterns_seen": state.cost.patterns_seen, "train_macs": macs}


@contextmanager
def _evaluating(prepared: Prepared, state: RunState) -> Iterator[tuple[Predicts, Feed]]:
    """What runs inside is an evaluation: its cost is, and what is saved if it is ended is whole."""
    keys, device = prepared.keys, prepared.device
    with (
        state.whole(),
        state.cost.evaluation(state.strategy) as strategy,
        doing("evaluating", stoppable=False),
    ):
        yield strategy, Feed(minibatch=keys.eval_mb_size, hold=device.hold, look=look)


def _seen(prepared: Prepared, state: RunState, experience: int | None) -> int:
    """How many experiences count as seen while or after this one is learnt."""
    return len(prepared.data) if state.strategy.whole_stream else (experience or 0) + 1


def _detail(scores: Scores, *, with_confusion: bool) -> dict[str, Any]:
    if scores.detail is None:
        return {}
    found: dict[str, Any] = {"ece": scores.detail.ece, "nll": scores.detail.nll}
    return found | ({"confusion": scores.detail.confusion.tolist()} if with_confusion else {})


def _has_room_for_confusion(prepared: Prepared) -> bool:
    """Whether metrics.jsonl has it after each experience; after the last one it always has."""
    benchmark = prepared.data
    return len(benchmark) * benchmark.shape.num_classes**2 <= MOST_CONFUSED
