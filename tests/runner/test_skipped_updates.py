"""Runs that leave out updates whose loss is not finite (`strategy.on_nan=skip`)."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import clrun
from clrun.config.run_config import RunConfig
from clrun.console.tables import print_results
from clrun.errors import NonFiniteLoss
from clrun.records.raw_log import read_raw_log
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.runner.state import RunState
from clrun.streams.experience import Benchmark

KEYS = (
    *("device=cpu", "device.threads=1", "strategy.train_epochs=2", "strategy.train_mb_size=16"),
    *("log_every=1", "strategy.memory_update=minibatch", "strategy.lr=0.01"),
)


class Touchy(nn.Module):
    """A small network that makes NaN of an image that begins with 255 and 0."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.output = nn.BatchNorm2d(1), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        is_marked = (x[:, :1, :1, :1] == 1) & (x[:, :1, :1, 1:2] == 0)
        return self.output(self.norm(torch.where(is_marked, torch.nan, x)).flatten(1))


def stream(marked: int) -> Benchmark:
    """Two experiences of 40 rows, in the first of which so many are marked."""
    rng = torch.Generator().manual_seed(0)
    parts = [torch.randint(200, (40, 1, 4, 4), generator=rng).byte() for _ in range(4)]
    parts[0][:marked, 0, 0, 0], parts[0][:marked, 0, 0, 1] = 255, 0
    labelled = [(x, torch.arange(40) % 2 + 2 * (k % 2)) for k, x in enumerate(parts)]
    return Benchmark.of_arrays(labelled[:2], labelled[2:])


def touchy() -> Touchy:
    torch.manual_seed(0)
    return Touchy()


def config(*overrides: str) -> RunConfig:
    return clrun.compose([*KEYS, "strategy.on_nan=skip", *overrides])


def without_times(lines: list[dict]) -> list[dict]:
    clock = ("seconds", "wall_seconds", "rss_peak_bytes")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines]


@pytest.mark.parametrize("log_every", [1, 7, 1000])
def test_a_run_goes_on_and_counts_what_it_left_out(log_every, tmp_path):
    made = config(f"log_every={log_every}")

    results = clrun.run(made, tmp_path / "run", benchmark=stream(1), model=touchy())

    assert results.cost["skipped_updates"] == 2  # one in each epoch
    assert "strategy.on_nan=skip" in results.notes["skipped_updates"]
    assert results.cost["train_steps"] == 20
    assert all(value is not None for value in results.accuracy_matrix[-1])
    lines = read_raw_log(tmp_path / "run" / "metrics.jsonl")
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["skipped_updates"] for line in epochs] == [1, 2, 2, 2]
    assert all(line["loss"] is not None for line in epochs)


def test_an_update_that_was_left_out_has_no_loss_in_the_log(tmp_path):
    clrun.run(config(), tmp_path / "run", benchmark=stream(1), model=touchy())

    lines = read_raw_log(tmp_path / "run" / "metrics.jsonl")
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == 20
    assert [line["loss"] for line in steps].count(None) == 2
    assert all((line["loss"] is None) == (line["accuracy"] is None) for line in steps)


def test_a_run_without_such_updates_has_the_numbers_of_one_that_would_stop(tmp_path):
    both = [
        clrun.run(
            clrun.compose([*KEYS, f"strategy.on_nan={word}"]),
            tmp_path / word,
            benchmark=stream(0),
            model=touchy(),
        )
        for word in ("stop", "skip")
    ]

    assert both[0].accuracy_matrix == both[1].accuracy_matrix
    assert [results.cost.get("skipped_updates") for results in both] == [None, 0]
    assert "skipped_updates" not in both[1].notes


def test_a_run_that_can_make_no_update_ends(tmp_path):
    with pytest.raises(NonFiniteLoss, match="10 updates in a row"):
        clrun.run(config(), tmp_path / "run", benchmark=stream(40), model=touchy())

    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_the_end_of_a_run_shows_what_was_left_out(tmp_path):
    from rich.console import Console

    results = clrun.run(config(), tmp_path / "run", benchmark=stream(1), model=touchy())
    screen = io.StringIO()

    print_results(Console(file=screen, width=80), results, tmp_path, 1.0)

    assert "2 updates were left out: " in screen.getvalue()


def test_a_run_goes_on_from_its_state_wherever_that_was_saved(tmp_path):
    states: list[bytes] = []

    def save(state: RunState) -> None:
        file = io.BytesIO()
        torch.save(state.plain(), file)
        states.append(file.getvalue())

    def prepared(own: Benchmark):
        return prepare(config("log_every=3"), own_benchmark=own, own_model=touchy())

    whole = run(prepared(stream(1)), tmp_path / "whole", at_pause=save)
    for number, content in enumerate(states):
        folder: Path = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(tmp_path / "whole" / "metrics.jsonl", folder)
        state = torch.load(io.BytesIO(content), weights_only=True)

        again = run(prepared(stream(1)), folder, resumed=state)

        assert again.accuracy_matrix == whole.accuracy_matrix
        assert again.cost["skipped_updates"] == 2
        ours, theirs = (
            read_raw_log(place / "metrics.jsonl") for place in (folder, tmp_path / "whole")
        )
        assert without_times(ours) == without_times(theirs), number
