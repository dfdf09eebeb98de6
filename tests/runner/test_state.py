"""A run's state saved between two updates, and a new run that goes on from it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from comparing_runs import leaves, lines, results

import clrun
from clrun.config.run_config import RunConfig
from clrun.records.raw_log import read_raw_log
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.runner.state import RunState

SMALL = (
    *("device=cpu", "device.threads=1", "model.hidden=[16]", "benchmark.limit_per_class=40"),
    *("model.dropout=0.25", "benchmark.augment=crop", "strategy.train_epochs=2", "log_every=4"),
    *("strategy.eval_every=1", "strategy.momentum=0.9", "eval.every_steps=2", "eval.subset=9"),
)
"""Three updates an epoch on two classes of 32 or so rows: `log_every` leaves some unread."""
RUNS = {
    "naive": ("strategy=naive",),
    "naive-si": ("strategy=naive", "strategy.plugins=[{name: si, ewc_lambda: 100}]"),
    "replay-herding": ("selection=herding", "strategy.mem_size=20"),
    "replay-online": ("strategy.memory_update=minibatch", "storage_policy=reservoir"),
    "cumulative": ("strategy=cumulative",),
    "joint": ("strategy=joint",),
    "der": ("strategy=der", "strategy.mem_size=20", "strategy.memory_mb_size=8"),
    "lwf": ("strategy=lwf",),
    "ar1": (
        *("strategy=ar1", "model=mlp", "strategy.latent_layer=features.relu0"),
        *("strategy.train_mb_size=24", "strategy.rm_sz=20", "strategy.ewc_lambda=0.5"),
    ),
}


def written(plain: dict[str, Any]) -> bytes:
    """The state as a file; only tensors, numbers, texts and what holds them can be read again."""
    file = io.BytesIO()
    torch.save(plain, file)
    return file.getvalue()


def read(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), weights_only=True)


class Saved(NamedTuple):
    """A run to its end, and its state at each pause."""

    folder: Path
    states: list[bytes]
    end: dict[str, Any]
    """the strategy's state after the run"""


def started(config: RunConfig, folder: Path, resumed: dict[str, Any] | None = None) -> Saved:
    """A run that is saved whenever that is possible."""
    states: list[bytes] = []
    last: list[RunState] = []

    def save(state: RunState) -> None:
        states.append(written(state.plain()))
        last[:] = [state]

    run(prepare(config), folder, resumed=resumed, at_pause=save)
    return Saved(folder, states, read(written(last[0].strategy.state_dict())))


@pytest.fixture(scope="module", params=RUNS)
def whole(request, tmp_path_factory) -> tuple[RunConfig, Saved]:
    config = clrun.compose([*SMALL, *RUNS[request.param]])
    return config, started(config, tmp_path_factory.mktemp("whole") / "run")


def continued(config: RunConfig, interrupted: Path, folder: Path, state: bytes) -> Saved:
    """A new run from a state, in a folder with the log of a run that had gone on after it."""
    folder.mkdir()
    shutil.copy(interrupted / "metrics.jsonl", folder)
    return started(config, folder, read(state))


def test_a_run_that_goes_on_from_its_state_ends_the_same(whole, tmp_path):
    config, first = whole
    per_experience = len(first.states) // len(results(first.folder)["experiences"])
    last = len(first.states) - 1
    at = {
        "before the first update": 0,
        "after an update that is not logged yet": 1,
        "after an epoch": 3,
        "in another experience": min(per_experience + 3, last),
        "between the last update and the end of the run": last,
    }

    for place, number in at.items():
        again = continued(config, first.folder, tmp_path / place, first.states[number])

        assert lines(again.folder) == lines(first.folder), place
        assert results(again.folder) == results(first.folder), place
        assert leaves(again.end) == leaves(first.end), place


def test_a_state_of_each_kind_of_place_was_taken(whole):
    _, first = whole
    states = [read(state) for state in first.states]

    places = {tuple(state["start"]) for state in states}
    assert {(0, 0), (0, 1), (1, 0), (2, 0)} <= places
    assert any(state["recorder"]["meter"]["updates"] for state in states)
    assert states[0]["scored"]["initial"] is not None
    assert len(states[-1]["scored"]["seen"])


def test_seconds_go_on_from_those_of_the_interrupted_run(tmp_path):
    config = clrun.compose([*SMALL, "strategy=naive"])
    first = started(config, tmp_path / "first")
    state = read(first.states[10])
    state["recorder"]["raw_log"]["seconds"] += 1000
    state["cost"]["wall_seconds"]["train"] += 500

    again = continued(config, first.folder, tmp_path / "again", written(state))

    raw = read_raw_log(again.folder / "metrics.jsonl")
    assert raw[-1]["seconds"] > 1000
    found = json.loads((again.folder / "results.json").read_text())
    assert 500 < found["cost"]["wall_seconds"]["train"] < 600
    spent = [line["wall_seconds"]["train"] for line in raw if line["kind"] == "experience"]
    assert sum(spent) == pytest.approx(found["cost"]["wall_seconds"]["train"], abs=0.01)


@pytest.mark.parametrize(
    ("change", "number"),
    [("strategy", 5), ("meter", 5), ("cost", 5), ("scored", -1), ("curve", -1)],
)
def test_each_part_of_the_state_counts(change, number, tmp_path):
    config = clrun.compose([*SMALL, "strategy=naive"])
    first = started(config, tmp_path / "first")
    state = read(first.states[number])
    CHANGES[change](state)

    again = continued(config, first.folder, tmp_path / "again", written(state))

    differ = results(again.folder) != results(first.folder)
    assert differ or lines(again.folder) != lines(first.folder)


def _other_weights(state: dict[str, Any]) -> None:
    for tensor in state["strategy"]["model"].values():
        tensor.mul_(-1)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "strategy": _other_weights,
    "meter": lambda state: state["recorder"]["meter"].update(epoch=[100.0, 1, 1]),
    "cost": lambda state: state["cost"].update(patterns_seen=0),
    "scored": lambda state: state["scored"]["experiences"]["values"].zero_(),
    "curve": lambda state: state["scored"]["curves"]["values"].zero_(),
}


def test_a_state_does_not_change_when_a_run_goes_on_from_it(tmp_path):
    config = clrun.compose([*SMALL, *RUNS["ar1"]])
    first = started(config, tmp_path / "first")
    state = read(first.states[4])
    before = leaves(deepcopy(state))

    (tmp_path / "again").mkdir()
    shutil.copy(first.folder / "metrics.jsonl", tmp_path / "again")
    started(config, tmp_path / "again", state)

    assert leaves(state) == before
