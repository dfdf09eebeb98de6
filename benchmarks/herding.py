"""Time herding against its definition, where every pick computes every candidate's mean anew.

    python benchmarks/herding.py            # about a minute
    python benchmarks/herding.py --full     # the definition's whole order too: minutes

The two take turns, and the medians of their seconds are compared. Without --full the time of the
definition's whole order is extrapolated from its first picks, and so labelled.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from clrun.memory.herding import herding


def by_definition(features: Tensor, k: int) -> Tensor:
    """The first k rows that herding picks, one vectorised pass over all rows for each."""
    f = features.double()
    mean, picked_mean = f.mean(0), torch.zeros(f.shape[1], dtype=torch.float64)
    is_picked = torch.zeros(len(f), dtype=torch.bool)
    order = torch.empty(k, dtype=torch.int64)
    for t in range(k):
        means = (t * picked_mean + f) / (t + 1)
        distances = ((means - mean) ** 2).sum(1).masked_fill_(is_picked, torch.inf)
        order[t] = distances.argmin()
        is_picked[order[t]] = True
        picked_mean = means[order[t]]
    return order


def timed(rank: Callable[[], Tensor], seconds: list[float]) -> Tensor:
    start = time.perf_counter()
    order = rank()
    seconds.append(time.perf_counter() - start)
    return order


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--first", type=int, default=200, help="picks of the short ranking")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="time the definition's whole order")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(options.rows, options.dimensions, generator=rng).relu()
    n, k = options.rows, min(options.first, options.rows)
    slow_k = n if options.full else k
    ours_first: list[float] = []
    ours_whole: list[float] = []
    slow: list[float] = []
    for _ in range(options.repeats):
        first = timed(lambda: herding(features, k), ours_first)
        expected = timed(lambda: by_definition(features, slow_k), slow)
        whole = timed(lambda: herding(features), ours_whole)
        assert torch.equal(first, expected[:k]), "the first picks differ from the definition's"
        assert torch.equal(whole[:slow_k], expected), "the order differs from the definition's"
    slow_whole = statistics.median(slow) * n / slow_k
    short, long = statistics.median(ours_first), statistics.median(ours_whole)
    how = "measured" if options.full else f"EXTRAPOLATED from its first {k} picks"
    print(f"{n} x {options.dimensions} features, {options.threads} thread(s), torch ", end="")
    print(f"{torch.__version__}, medians of {options.repeats}; the first {slow_k} picks agree")
    print(f"definition, whole order  {slow_whole:9.3f} s   ({how})")
    print(f"herding, whole order     {long:9.3f} s   {slow_whole / long:6.0f} times faster")
    print(f"herding, first {k:<8}  {short:9.3f} s   {slow_whole / short:6.0f} times faster")
    per_pick = slow_whole * k / n / short
    print(f"  against a definition that stops after as many picks: {per_pick:.0f} times faster")


if __name__ == "__main__":
    main()
