"""Runs that differ in their seeds alone are one method, which has a short name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrun
from clrun.records.alike import alike, mean_of, named, telling
from clrun.records.past_run import PastRun, read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PastRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    clrun.run(clrun.compose(["strategy=naive", "strategy.train_epochs=1", "seed=3"]), folder)
    return read_run(folder)


def changed(run: PastRun, option: str = "naive", **keys: object) -> PastRun:
    """The run as if it had had other keys; in their names _ stands for a dot."""
    config = {**run.record["config"]}
    nodes = {group: {**n, "values": {**n["values"]}} for group, n in config["nodes"].items()}
    nodes["strategy"]["option"] = option
    root = dict(config["root"])
    for key, value in keys.items():
        group, _, name = key.partition("_")
        if group in nodes:
            nodes[group]["values"][name] = value
        else:
            root[key] = value
    record = {**run.record, "config": {**config, "root": root, "nodes": nodes}}
    return replace(run, record=record, folder=Path(f"{run.folder}-{keys}"))


def test_seeds_and_what_changes_no_number_make_no_other_method(run: PastRun) -> None:
    others = [
        changed(run, seed=4),
        changed(run, benchmark_class_order_seed=7),
        changed(run, run_name="mine"),
        changed(run, device_threads=2),
        changed(run, strategy_eval_mb_size=8),
        changed(run, benchmark_data_root="elsewhere"),
    ]

    (method,) = alike([run, *others])

    assert len(method.runs) == 7
    assert method.name == "naive on digits"


def test_what_changes_numbers_tells_methods_apart_by_as_little_as_needed(run: PastRun) -> None:
    runs = [
        run,
        changed(run, strategy_lr=0.5),
        changed(run, "replay", strategy_mem_size=200),
        changed(run, "replay", strategy_mem_size=500),
        changed(run, strategy_lr=0.5, seed=9),
    ]

    found = alike(runs)

    assert [method.name for method in found] == [
        *("naive lr=0.1", "naive lr=0.5"),
        *("replay lr=0.1 mem_size=200", "replay lr=0.1 mem_size=500"),
    ]
    assert [len(method.runs) for method in found] == [1, 2, 1, 1]
    assert alike([changed(run, device_precision="bf16"), run])[1].name == "precision=fp32"


def test_a_number_is_over_the_seeds_that_completed_or_there_is_none(run: PastRun) -> None:
    def with_value(seed: int, value: float | None) -> PastRun:
        return replace(changed(run, seed=seed), metrics={"acc_final": value})

    (method,) = alike([with_value(0, 0.5), with_value(1, 0.7)])
    assert method.by_seed("acc_final") == {"seed=0": 0.5, "seed=1": 0.7}
    found = method.spread("acc_final")
    assert found is not None
    # SD 0.1 sqrt(2); half = t(1) SD / sqrt(2), and t(1) at 0.975 is 12.706
    assert (found.mean, found.n) == (pytest.approx(0.6), 2)
    assert found.half_width == pytest.approx(1.2706, abs=1e-4)
    (method,) = alike([with_value(0, 0.5), with_value(1, None)])
    assert method.spread("acc_final") is None
    assert method.spread("nothing") is None
    assert method.cost(lambda cost: cost["train_steps"]) == run.cost["train_steps"]
    assert method.cost(lambda cost: cost.get("nothing")) is None


def test_the_mean_of_arrays_is_entry_by_entry_where_all_have_one() -> None:
    found = mean_of([[[1.0, np.nan], [0.0, 0.5]], [[0.0, np.nan]]])

    assert found.mean.tolist()[0][0] == 0.5
    assert np.isnan(found.mean[[0, 1, 1], [1, 0, 1]]).all()
    assert found.half is not None
    assert found.half[0, 0] == pytest.approx(12.706 * 0.5, abs=1e-3)
    assert mean_of([[1.0, 2.0]]).half is None


def test_names_of_options_stand_alone_and_keys_by_their_last_part() -> None:
    assert named({"strategy": "ar1", "strategy.rm_sz": "500"}) == "ar1 rm_sz=500"
    assert named({"strategy.lr": "1", "model.lr": "2"}) == "strategy.lr=1 model.lr=2"


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=5))
def test_what_is_told_splits_as_all_of_it_does(values: list[tuple[int, int, int]]) -> None:
    found = [
        {k: v for k, v in zip("abc", each, strict=True) if v} for each in values
    ]  # 0: not there

    told = telling(found)

    for a, one in zip(found, told, strict=True):
        for b, two in zip(found, told, strict=True):
            assert (a == b) == (one == two)
