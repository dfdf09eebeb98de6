"""From what was scored to results.json: the metrics are pure functions of the evaluations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from clrun.metrics import Measurements, computed
from clrun.records.results import Results
from clrun.runner.evaluation import Scores
from clrun.runner.prepare import Prepared
from clrun.runner.state import RunState
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Benchmark


def summary(prepared: Prepared, state: RunState) -> Results:
    """The results of a run that has learnt its stream."""
    cost, strategy, scored = state.cost, state.strategy, state.scored
    benchmark, evaluation = prepared.data, prepared.evaluation
    sizes = [len(evaluation.rows(experience).y) for experience in benchmark.experiences]
    initial = None if scored.initial is None else scored.initial.experiences
    metrics, notes = computed(
        Measurements(
            accuracy=_array([scores.experiences for scores in scored.matrix]),
            class_accuracy=_array([scores.classes for scores in scored.matrix]),
            initial=None if initial is None else _array(initial),
            test_rows=np.asarray(sizes),
            evaluations=[(seen, _array(row)) for seen, row in scored.points],
        )
    )
    memory = json_keys(strategy.memory_rows())
    return Results(
        config_hash=prepared.config.hash(),
        class_names=list(benchmark.class_names),
        experiences=[
            {"classes": list(e.classes), "train_rows": len(e.train.y), "test_rows": size}
            for e, size in zip(benchmark.experiences, sizes, strict=True)
        ],
        accuracy_matrix=[scores.experiences for scores in scored.matrix],
        class_accuracy=[scores.classes for scores in scored.matrix],
        initial_accuracy=initial,
        metrics=metrics,
        notes=notes | _unknown_costs(strategy) | _on_data(benchmark),
        damaged_files=benchmark.damaged_files,
        cost=cost.summary(strategy.train_macs, memory["bytes"], prepared.device.peak_bytes()),
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


def _unknown_costs(strategy: Strategy) -> dict[str, str]:
    """Why a cost is None."""
    if strategy.train_macs is not None:
        return {}
    return {"train_macs": "this strategy does not count its multiply-accumulates"}


def _on_data(benchmark: Benchmark) -> dict[str, str]:
    return {"data": " ".join(benchmark.notes)} if benchmark.notes else {}


def nothing(benchmark: Benchmark) -> Scores:
    """A row of the matrix that was not evaluated (strategy.eval_every=-1)."""
    return Scores(experiences=[None] * len(benchmark), classes=[None] * benchmark.shape.num_classes)


def json_keys(rows: dict[str, Any]) -> dict[str, Any]:
    """Maps keyed by id as JSON will have them."""
    return {
        key: {str(k): v for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in rows.items()
    }


def _array(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64)  # None becomes NaN
