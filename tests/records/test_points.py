from __future__ import annotations

import pytest

from clrun.records.outcome import Outcome
from clrun.records.points import best, headline, points


def outcome(accuracy: float | None, status: str = "completed", **values: str) -> Outcome:
    metrics = {"acc_final": accuracy, "acc_pooled": 0.5}
    return Outcome(values=values, status=status, metrics=metrics)


def test_jobs_that_differ_in_seeds_alone_are_one_point() -> None:
    order = "benchmark.class_order_seed"
    jobs = [
        outcome(0.1, **{"strategy.lr": lr, "seed": seed, order: other})
        for lr in ("1", "2")
        for seed in ("0", "1")
        for other in ("0", "1")
    ]

    found = points(jobs)

    assert [point.values for point in found] == [{"strategy.lr": "1"}, {"strategy.lr": "2"}]
    assert list(found[0].by_seed("acc_final")) == [
        f"seed={seed} {order}={other}" for seed in "01" for other in "01"
    ]


def test_a_point_with_a_run_whose_accuracy_is_undefined_has_no_mean() -> None:
    [point] = points([outcome(0.1, seed="0"), outcome(None, seed="1")])

    assert point.spread("acc_final") is None
    assert point.spread("acc_pooled") is not None


def test_points_are_ranked_by_one_metric_that_all_of_them_have() -> None:
    defined = [outcome(0.1, lr="1"), outcome(0.9, lr="2")]

    assert headline(points(defined)) == "acc_final"
    assert headline(points([*defined, outcome(None, lr="3")])) == "acc_pooled"


def test_a_point_without_the_number_is_left_out_and_counted() -> None:
    lost = Outcome(values={"lr": "3"}, status="completed")

    found = best(points([outcome(0.1, lr="1"), outcome(0.9, lr="2"), lost]))

    assert found is not None
    assert (found.point.values, found.among, found.unranked) == ({"lr": "2"}, 2, 1)


@pytest.mark.parametrize(
    "jobs",
    [
        pytest.param([], id="none"),
        pytest.param([outcome(0.1, seed="0"), outcome(0.2, seed="1")], id="one point"),
        pytest.param([outcome(0.1, lr="1"), outcome(None, "failed", lr="2")], id="one that ran"),
    ],
)
def test_there_is_no_best_without_a_second(jobs: list[Outcome]) -> None:
    assert best(points(jobs)) is None


def test_the_best_of_single_runs_is_not_sure() -> None:
    found = best(points([outcome(0.1, lr="1"), outcome(0.9, lr="2"), outcome(0.5, lr="3")]))

    assert found is not None
    assert found.point.values == {"lr": "2"}
    assert found.ahead is None
    assert len(found.rivals) == 2
