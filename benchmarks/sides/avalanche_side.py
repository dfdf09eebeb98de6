"""Avalanche as its users run it, on the same arrays: avalanche_side.py CASE.json OUT.json.

Images are PIL images that ToTensor and Normalize see one by one, as with its own SplitFMNIST; the
evaluator is its default one. Runs in an environment of its own, without clrun.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import torch
from avalanche_ar1 import ar1
from avalanche_data import stream
from avalanche_replay import naive_with_replay
from measure import Meter, read_case, write_result


def main() -> None:
    case = read_case()
    warnings.simplefilter("ignore")
    torch.set_num_threads(case["threads"])
    torch.manual_seed(case["seed"])
    random.seed(case["seed"])
    benchmark = stream(case)
    strategy = {"ar1": ar1, "replay": naive_with_replay}[case["kind"]](case)
    patterns = _count_patterns(strategy)
    meter = Meter()
    told: dict[str, Any] = {}
    for experience in benchmark.train_stream:
        with meter.phase("train"):
            strategy.train(experience)
        with meter.phase("eval"):
            told = strategy.eval(benchmark.test_stream)
    accuracies = [v for k, v in told.items() if k.startswith("Top1_Acc_Exp/eval_phase")]
    accuracy = sum(accuracies) / len(accuracies)
    write_result({**meter.report(), "accuracy": accuracy, "patterns": sum(patterns)})


def _count_patterns(strategy: Any) -> list[int]:
    """Filled with the number of rows of each training minibatch."""
    counts: list[int] = []
    criterion = strategy._criterion

    def counting(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if strategy.is_training:
            counts.append(len(y))
        return criterion(output, y)

    strategy._criterion = counting
    return counts


if __name__ == "__main__":
    main()
