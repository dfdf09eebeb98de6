"""What the tests of runs share: short runs on digits, each made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import clrun
from clrun.config.run_config import RunConfig
from clrun.records.raw_log import read_raw_log

SHORT = ("device=cpu", "device.threads=1", "strategy.train_epochs=2", "model.hidden=[32]")


class Finished(NamedTuple):
    """A run folder and what is in it."""

    folder: Path
    results: dict[str, Any]
    record: dict[str, Any]
    """run.json"""
    lines: list[dict[str, Any]]
    """metrics.jsonl"""

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["kind"] == kind]


def read(folder: Path) -> Finished:
    return Finished(
        folder,
        json.loads((folder / "results.json").read_text()),
        json.loads((folder / "run.json").read_text()),
        read_raw_log(folder / "metrics.jsonl"),
    )


@cache
def composed(*overrides: str) -> RunConfig:
    return clrun.compose([*SHORT, *overrides])


@pytest.fixture(scope="session")
def config_of() -> Callable[..., RunConfig]:
    """Overrides -> the configuration of a short run on digits."""
    return composed


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Overrides -> a short run on digits, made anew."""

    def make(*overrides: str) -> Finished:
        folder = tmp_path_factory.mktemp("runs") / "run"
        clrun.run(composed(*overrides), folder)
        return read(folder)

    return make


@pytest.fixture(scope="session")
def finished(run: Callable[..., Finished]) -> Callable[..., Finished]:
    """Overrides -> a short run on digits, made once for all tests; not to be changed."""
    return cache(run)


class NotingDisplay:
    """A display that keeps what it is given."""

    def __init__(self) -> None:
        self.paces: list[Any] = []
        self.rows: list[tuple[int, int, list[float | None]]] = []

    def title(self, text: str) -> None:
        raise AssertionError("the title is for the command line to show")

    def step(self, pace: Any) -> None:
        self.paces.append(pace)

    def evaluated(self, experience: int, experiences: int, row: Sequence[float | None]) -> None:
        self.rows.append((experience, experiences, list(row)))

    def close(self) -> None:
        raise AssertionError("who made the display closes it")


@pytest.fixture
def noted() -> NotingDisplay:
    return NotingDisplay()
