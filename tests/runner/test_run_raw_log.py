"""What a run writes to metrics.jsonl."""

from __future__ import annotations

import numpy as np
import pytest

from clrun.metrics import computed, matrix_of_rows
from clrun.records.measured import read_measured


def places(lines) -> list[tuple]:
    return [(line["experience"], line["epoch"]) for line in lines]


def test_the_raw_log_tells_everything_in_order(finished):
    lines = finished().lines

    assert {line["kind"] for line in lines} == {
        *("step", "epoch", "experience", "eval", "memory", "resource")
    }
    for key in ("seconds", "iteration"):
        assert [line[key] for line in lines] == sorted(line[key] for line in lines)
    at_the_end = [line["kind"] for line in lines[-5:]]
    assert at_the_end == ["epoch", "experience", "eval", "memory", "resource"]
    assert places(finished().of_kind("epoch")) == [(e, k) for e in range(5) for k in range(2)]
    assert places(finished().of_kind("memory")) == [(e, None) for e in range(5)]


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("strategy.eval_every=1",),
        ("strategy.eval_every=-1",),
        ("eval=seen",),
        ("strategy=joint",),
        ("strategy=naive", "eval.limit_per_experience=7"),
        ("strategy=naive", "eval.every_steps=4"),
        ("strategy=naive", "eval.every_steps=4", "eval.subset=20", "strategy.eval_every=1"),
        ("strategy=joint", "eval.every_steps=9"),
    ],
)
def test_the_metrics_can_be_recomputed_from_the_raw_log(overrides, finished):
    results = finished(*overrides).results

    found = read_measured(finished(*overrides).folder)

    reasons = {k: why for k, why in results["notes"].items() if k in results["metrics"]}
    assert computed(found.measurements) == (results["metrics"], reasons)
    matrix = matrix_of_rows(results["accuracy_matrix"], len(results["experiences"]))
    assert np.array_equal(found.measurements.accuracy, matrix, equal_nan=True)
    undefined = {name for name, value in results["metrics"].items() if value is None}
    assert set(reasons) == undefined


def test_every_update_can_be_logged(finished):
    run = finished("log_every=1", "strategy.mix=add")
    cost, steps = run.results["cost"], run.of_kind("step")

    assert len(steps) == cost["train_steps"] == run.lines[-1]["iteration"]
    assert [line["iteration"] for line in steps] == list(range(1, len(steps) + 1))
    assert sum(line["patterns"] for line in steps) == cost["patterns_seen"]
    for epoch in run.of_kind("epoch"):
        own = [line for line in steps if places([line]) == places([epoch])]
        weights = [line["patterns"] for line in own]
        for key in ("loss", "accuracy"):
            mean = np.average([line[key] for line in own], weights=weights)
            assert epoch[key] == pytest.approx(mean, rel=1e-5)


def test_logging_less_changes_no_result(finished):
    rarely, often = (
        finished("log_every=1000", "strategy.mix=add"),
        finished("log_every=1", "strategy.mix=add"),
    )

    assert rarely.results["accuracy_matrix"] == often.results["accuracy_matrix"]
    assert len(rarely.of_kind("step")) == len(rarely.of_kind("epoch")) == 10
