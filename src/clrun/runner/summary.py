"""From what was scored to results.json: the metrics are pure functions of the evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from clrun.config.run_config import RunConfig
from clrun.metrics import Evaluation, Measurements, computed, matrix_of_rows
from clrun.records.results import Results
from clrun.records.task_ids import use_of_task_ids
from clrun.runner.cost import Known
from clrun.runner.prepare import Prepared
from clrun.runner.scored import Floats, Point, Scored, floats, optional, padded, trimmed
from clrun.runner.scores import Scores
from clrun.runner.state import RunState
from clrun.runner.state_bytes import state_bytes
from clrun.streams.experience import Benchmark

MOST_ENTRIES = 2**26
"""Entries of a matrix, half a gigabyte: 8,192 experiences scored on all of them."""


def summary(prepared: Prepared, state: RunState) -> Results:
    """The results of a run that has learnt its stream."""
    strategy, scored = state.strategy, state.scored
    benchmark, evaluation = prepared.data, prepared.evaluation
    sizes = [evaluation.size(experience) for experience in benchmark.experiences]
    metrics, notes = computed(_measurements(scored, scored.initial, benchmark, sizes))
    memory, recorder = json_keys(strategy.memory_rows()), state.recorder
    skipped = {"skipped_updates": recorder.meter.left_out} if recorder.skips else {}
    cost = _cost(prepared, state, memory["bytes"])
    return Results(
        config_hash=prepared.config.hash(),
        class_names=list(benchmark.class_names),
        experiences=[
            {"classes": list(e.classes), "train_rows": len(e.train.y), "test_rows": size}
            for e, size in zip(benchmark.experiences, sizes, strict=True)
        ],
        **_accuracies(scored, scored.initial),
        task_aware=_task_aware(scored),
        task_ids=use_of_task_ids(_values(prepared.config)),
        metrics=metrics,
        notes=notes | _unknown_costs(cost) | _on_updates(skipped) | _on_data(benchmark),
        damaged_files=benchmark.damaged_files,
        cost=cost | skipped,
        memory=memory,
    )


def _measurements(
    scored: Scored, initial: Scores | None, benchmark: Benchmark, sizes: Sequence[int]
) -> Measurements:
    """What metrics are functions of, and the same with task ids where there are any."""
    at_ends, width, detail = scored.at_ends(), len(benchmark), scored.detail
    before = None if initial is None else floats(trimmed(initial.experiences))
    aware = scored.task_aware
    return Measurements(
        accuracy=_matrix([p and p.experiences for p in at_ends], width),
        class_accuracy=_matrix([p and p.classes for p in at_ends], benchmark.shape.num_classes),
        initial=None if before is None else padded(before, width),
        test_rows=np.asarray(sizes),
        evaluations=_Evaluations(scored.points, width),
        iterations=[point.iteration for point in scored.points],
        ends=scored.are_ends(),
        experience_classes=[experience.classes for experience in benchmark.experiences],
        confusion=None if detail is None else detail.confusion,
        ece=None if detail is None else detail.ece,
        nll=None if detail is None else detail.nll,
        task_aware=None
        if aware is None
        else _measurements(aware, initial and initial.task_aware, benchmark, sizes),
    )


def _accuracies(scored: Scored, initial: Scores | None) -> dict[str, Any]:
    """The accuracies of results.json."""
    at_ends = scored.at_ends()
    return {
        "accuracy_matrix": table([p and p.experiences for p in at_ends]),
        "class_accuracy": table([p and p.classes for p in at_ends]),
        "initial_accuracy": None if initial is None else trimmed(initial.experiences),
    }


def _task_aware(scored: Scored) -> dict[str, Any] | None:
    """The same with task ids."""
    if scored.task_aware is None:
        return None
    return _accuracies(scored.task_aware, scored.initial and scored.initial.task_aware)


def _values(config: RunConfig) -> dict[str, Any]:
    """`group.key` -> value."""
    return {f"{g}.{key}": v for g, node in config.nodes.items() for key, v in node.values.items()}


def partial_summary(prepared: Prepared, state: RunState, reason: str) -> Results:
    """The results of a run that did not learn its whole stream: its metrics would be those of
    another stream, so that none has a value but a reason."""
    whole = summary(prepared, state)
    return replace(
        whole,
        partial=True,
        metrics=dict.fromkeys(whole.metrics),
        notes=whole.notes | dict.fromkeys(whole.metrics, reason),
    )


def _cost(prepared: Prepared, state: RunState, memory_bytes: int) -> dict[str, Any]:
    """The `cost` of results.json."""
    strategy, keys = state.strategy, prepared.keys
    known = Known(
        train_macs=strategy.train_macs,
        forward_macs=prepared.macs.forward,
        memory_bytes=memory_bytes,
        state_bytes=state_bytes(
            strategy, prepared.model, memory_bytes, keeps_moments=keys.optimizer_state == "keep"
        ),
        peak_device_bytes=prepared.device.peak_bytes(),
        watts=prepared.config.root.watts,
    )
    return state.cost.summary(known)


UNKNOWN = {
    "train_macs": "this strategy does not count its multiply-accumulates",
    "eval_macs": "this strategy does not count its multiply-accumulates",
    "state_bytes": "this strategy has no state_dict that says what it keeps",
    "energy_joules_estimate": "watts=null does not say what the machine draws",
}


def _unknown_costs(cost: Mapping[str, Any]) -> dict[str, str]:
    """Why a cost is None."""
    return {name: reason for name, reason in UNKNOWN.items() if cost[name] is None}


def _on_updates(skipped: Mapping[str, int]) -> dict[str, str]:
    """That not all minibatches were learnt from."""
    if not any(skipped.values()):
        return {}
    return {"skipped_updates": "their loss or a gradient was NaN or infinite: strategy.on_nan=skip"}


def _on_data(benchmark: Benchmark) -> dict[str, str]:
    return {"data": " ".join(benchmark.notes)} if benchmark.notes else {}


def json_keys(rows: dict[str, Any]) -> dict[str, Any]:
    """Maps keyed by id as JSON will have them."""
    return {
        key: {str(k): v for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in rows.items()
    }


def table(rows: Sequence[Floats | None]) -> list[list[float | None]]:
    """The rows as results.json has them, all as long as the longest; one that was not evaluated is
    empty."""
    width = max((len(row) for row in rows if row is not None), default=0)
    return [[] if row is None else optional(padded(row, width)) for row in rows]


def _matrix(rows: Sequence[Floats | None], width: int) -> Floats:
    """The rows as metrics read them: [rows, width], NaN where nothing was evaluated.

    Where that would be huge, the rows that were not evaluated are left out.
    """
    if len(rows) * width > MOST_ENTRIES:
        rows = [row for row in rows if row is not None]
    return matrix_of_rows([[] if row is None else row for row in rows], width)


class _Evaluations(Sequence[Evaluation]):
    """All evaluations on the rows of the curve: with a place for every experience."""

    def __init__(self, points: Sequence[Point], width: int) -> None:
        self._points, self._width = points, width

    def __len__(self) -> int:
        return len(self._points)

    @overload
    def __getitem__(self, place: int) -> Evaluation: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Evaluation]: ...
    def __getitem__(self, place: int | slice) -> Evaluation | Sequence[Evaluation]:
        if isinstance(place, slice):
            return _Evaluations(self._points[place], self._width)
        point = self._points[place]
        return point.seen, padded(point.curve, self._width)
