"""Avalanche as its users run it, on the same arrays.

Images are PIL images that ToTensor and Normalize see one by one, as with its own SplitFMNIST; the
evaluator is its default one. Runs in an environment of its own, without clrun.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import torch

from oracles.avalanche_ar1 import ar1
from oracles.avalanche_stream import stream
from sides.arrays import experiences, weights
from sides.avalanche_replay import naive_with_replay
from sides.measure import Meter


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Train on the stream, evaluating on all of it after each experience."""
    warnings.simplefilter("ignore")
    torch.manual_seed(case["seed"])
    random.seed(case["seed"])
    benchmark = stream(case, experiences(case))
    strategy = {"ar1": ar1, "replay": naive_with_replay}[case["kind"]](case, weights(case))
    patterns = _count_patterns(strategy)
    meter = Meter()
    scores: dict[str, Any] = {}
    for experience in benchmark.train_stream:
        with meter.phase("train"):
            strategy.train(experience)
        with meter.phase("eval"):
            scores = strategy.eval(benchmark.test_stream)
    accuracies = [v for k, v in scores.items() if k.startswith("Top1_Acc_Exp/eval_phase")]
    accuracy = sum(accuracies) / len(accuracies)
    return {**meter.report(), "accuracy": accuracy, "patterns": sum(patterns)}


def _count_patterns(strategy: Any) -> list[int]:
    """A list that fills with the number of rows of each training minibatch."""
    counts: list[int] = []
    criterion = strategy._criterion

    def counting(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if strategy.is_training:
            counts.append(len(y))
        return criterion(output, y)

    strategy._criterion = counting
    return counts
