"""Methods within one budget, from folders whose evaluations say what they had cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from clrun.compare.compared import compared_groups
from clrun.compare.equal_cost import BYTES, EqualCost, equal_costs

MACS = "multiply-accumulates of training"


def spends(folder: Path, points: Sequence[tuple[int, float]]) -> str:
    """Let the run's evaluations have this cost and accuracy; the folder."""
    lines = []
    for index, (macs, value) in enumerate(points):
        place = {"experience": index, "epoch": None, "iteration": index}
        said = {"accuracy": [value, value], "class_accuracy": [], "train_macs": macs}
        lines += [{"kind": "eval", **place, **said}, {"kind": "memory", **place}]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(folder)


def kept(rows: int) -> dict[str, object]:
    return {"state_bytes": {"rows": rows, "parameters": 1000, "statistics": 10}}


def test_each_method_counts_with_the_best_it_reached_within_what_all_spent(written):
    other = {"strategy": "er_ace"}
    folders = [
        spends(written("a0", seed=0), [(100, 0.2), (400, 0.6)]),
        spends(written("a1", seed=1), [(100, 0.4), (300, 0.8)]),
        spends(written("b0", seed=0, options=other), [(90, 0.5), (200, 0.3)]),
        spends(written("b1", seed=1, options=other), [(350, 0.9), (500, 0.7)]),
    ]

    found = compared_groups(folders, by=["strategy"], anyway=True)

    # seed 0: 200 spent by both; seed 1: within 300 the second method had nothing yet
    assert equal_costs(found.methods) == [
        EqualCost(cost=MACS, budget=200, accuracy={"er_ace": 0.5, "replay": 0.2}, n=1)
    ]
    assert found.plain()["equal_cost"][0]["budget"] == 200


def test_methods_of_several_sizes_are_compared_by_those_that_fit(written):
    def run(name: str, option: str, size: int, final: float) -> str:
        values = {"strategy": {"mem_size": size}}
        return str(
            written(name, final, options={"strategy": option}, values=values, cost=kept(size))
        )

    folders = [
        *(run("a1", "replay", 50, 0.4), run("a2", "replay", 900, 0.9)),
        *(run("b1", "er_ace", 60, 0.5), run("b2", "er_ace", 100, 0.6)),
    ]

    found = compared_groups(folders, by=["strategy", "strategy.mem_size"], anyway=True)
    alone = [e for e in equal_costs(found.methods) if e.cost == BYTES]

    assert alone == []  # of one size each, two fit within the least
    assert len(found.methods) == 4


def test_what_is_not_known_of_all_is_not_compared(written):
    folders = [str(written("a")), str(written("b", options={"strategy": "er_ace"}))]

    found = compared_groups(folders, by=["strategy"])

    assert equal_costs(found.methods) == []


@pytest.mark.parametrize("size", [100, 200])
def test_methods_that_keep_the_same_are_compared_by_bytes(size, written):
    folders = [
        str(written("a", 0.4, cost=kept(size))),
        str(written("b", 0.6, options={"strategy": "er_ace"}, cost=kept(size))),
    ]

    (found,) = equal_costs(compared_groups(folders, by=["strategy"]).methods)

    accuracy = {"er_ace": 0.6, "replay": 0.4}
    assert found == EqualCost(cost=BYTES, budget=1010 + size, accuracy=accuracy, n=1)
