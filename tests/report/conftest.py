"""A run for all tests of pages: it is read, never written to."""

from __future__ import annotations

from pathlib import Path

import pytest

import clrun

QUICK = (
    *("device=cpu", "device.threads=1", "model.hidden=[16]", "strategy.train_epochs=1"),
    "benchmark.limit_per_class=40",
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """A folder of runs of one stream: replay that was evaluated inside experiences, naive and
    joint."""
    top = tmp_path_factory.mktemp("runs")
    for strategy, words in {
        "replay": ("strategy.mem_size=40", "eval.every_steps=3", "checkpoint.every_steps=9"),
        "naive": (),
        "joint": (),
    }.items():
        config = clrun.compose([*QUICK, f"strategy={strategy}", *words])
        clrun.run(config, top / f"{strategy}-digits-s0-{config.hash()}")
    return top


@pytest.fixture(scope="session")
def folder(runs) -> Path:
    """The folder of the replay run."""
    [found] = runs.glob("replay-*")
    return found
