"""`device.tricks=off`: the same numbers to rounding, and none of what is only for speed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

import clrun
import clrun.fast

FAST = str(Path(clrun.fast.__file__).parent)
SWITCHES = {
    ("sgd", "sgd"),
    ("evaluating_form", "evaluating_form"),
    ("pointwise", "set_products"),
    ("pointwise", "forward"),
    ("chunks", "frozen_rows"),
    ("chunks", "learning_rows"),
    ("heap", "kept_heap"),
    ("garbage", "only_new_objects_searched"),
    ("garbage", "no_search"),
    ("process", "quick_process"),
    ("fastest", "choose"),
}
"""Functions that look at the switch: all that a run without tricks may call."""
USUAL = ("device=cpu", "device.threads=1", "seed=1", "log_every=1", "benchmark.n_experiences=2")
SMALL = (*USUAL, "strategy.train_epochs=1", "benchmark.limit_per_class=24")
DESCENT = ("strategy.lr=0.02", "strategy.momentum=0.9", "strategy.l2=0.001")
RUNS = {
    "mlp": ("model=mlp", "model.dropout=0.5", *DESCENT, *SMALL),
    "cnn": ("model=cnn", "model.channels=[8,8]", "model.norm=batch", *DESCENT, *SMALL),
    "slim_resnet18": ("model=slim_resnet18", "model.width=8", *DESCENT, *SMALL),
    "ar1": ("strategy=ar1", "strategy.train_mb_size=40", *SMALL),
}
DESCENDS, FOLDS = ("sgd", "_update"), ("folding", "_scale_and_shift")
USED = {
    "mlp": {DESCENDS},
    "cnn": {DESCENDS, FOLDS},
    "slim_resnet18": {DESCENDS, FOLDS},
    "ar1": {DESCENDS, FOLDS, ("pointwise", "_weight_gradient")},
}
"""Functions that do the work of a trick, in the runs that it is for."""


def called(work: Callable[[], object]) -> set[tuple[str, str]]:
    """Which functions of clrun.fast `work` calls: module and name."""
    found: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(FAST) and code.co_name[0] != "<":
            found.add((Path(code.co_filename).stem, code.co_name))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@pytest.fixture(scope="module", params=list(RUNS))
def both(request, tmp_path_factory) -> tuple[str, dict[str, Any]]:
    """A run with tricks and without: its folder, and the functions it called."""
    found = {}
    for word in ("on", "off"):
        folder = tmp_path_factory.mktemp(word) / "run"
        config = clrun.compose([*RUNS[request.param], f"device.tricks={word}"])
        names = called(lambda config=config, folder=folder: clrun.run(config, folder))
        found[word] = (folder, names)
    return request.param, found


def losses(folder: Path) -> torch.Tensor:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return torch.tensor([line["loss"] for line in lines if line["kind"] == "step"])


def test_the_losses_of_all_updates_are_the_same_to_rounding(both):
    _, runs = both

    on, off = (losses(folder) for folder, _ in runs.values())

    assert len(on) >= 8
    torch.testing.assert_close(off, on, rtol=1e-3, atol=1e-4)


def test_so_is_what_is_evaluated_after_each_experience(both):
    _, runs = both

    on, off = (
        torch.tensor(json.loads((folder / "results.json").read_text())["accuracy_matrix"])
        for folder, _ in runs.values()
    )

    assert on.max() > 0.15
    torch.testing.assert_close(off, on, rtol=0, atol=0.01)


def test_without_tricks_nothing_is_called_but_what_looks_at_the_switch(both):
    _, runs = both

    assert runs["off"][1] <= SWITCHES


def test_with_tricks_each_is_used(both):
    name, runs = both

    assert runs["on"][1] >= USED[name]
