"""From what was scored to results.json: the metrics are pure functions of the evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from clrun.metrics import Evaluation, Measurements, computed, matrix_of_rows
from clrun.records.results import Results
from clrun.runner.cost import Known
from clrun.runner.prepare import Prepared
from clrun.runner.scored import Floats, Point, floats, optional, padded, trimmed
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
    at_ends, width, detail = scored.at_ends(), len(benchmark), scored.detail
    initial = None if scored.initial is None else trimmed(scored.initial.experiences)
    metrics, notes = computed(
        Measurements(
            accuracy=_matrix([p and p.experiences for p in at_ends], width),
            class_accuracy=_matrix([p and p.classes for p in at_ends], benchmark.shape.num_classes),
            initial=None if initial is None else padded(floats(initial), width),
            test_rows=np.asarray(sizes),
            evaluations=_Evaluations(scored.points, width),
            iterations=[point.iteration for point in scored.points],
            ends=scored.are_ends(),
            experience_classes=[experience.classes for experience in benchmark.experiences],
            confusion=None if detail is None else detail.confusion,
            ece=None if detail is None else detail.ece,
            nll=None if detail is None else detail.nll,
        )
    )
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
        accuracy_matrix=table([p and p.experiences for p in at_ends]),
        class_accuracy=table([p and p.classes for p in at_ends]),
        initial_accuracy=initial,
        metrics=metrics,
        notes=notes | _unknown_costs(cost) | _on_updates(skipped) | _on_data(benchmark),
        damaged_files=benchmark.damaged_files,
        cost=cost | skipped,
        memory=memory,
    )


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
