"""What a model is given of a stream's images: near mean 0 and deviation 1, if all is well."""

from __future__ import annotations

from typing import Any

import torch

from clrun.device.rows import rows_at_once
from clrun.streams.experience import Benchmark

ENOUGH = 256
"""Images that are looked at, or fewer large ones: their mean is known to a few hundredths."""


@torch.no_grad()
def input_statistics(benchmark: Benchmark) -> dict[str, Any]:
    """Mean and deviation of each channel after the transform, over some training images of the
    first experience."""
    x = benchmark.experiences[0].train.x
    count = min(len(x), rows_at_once(ENOUGH, x, torch.device("cpu")))
    chosen = torch.linspace(0, len(x) - 1, count).round().long()
    inputs = benchmark.transform.evaluation(x.index_select(0, chosen))
    std, mean = torch.std_mean(inputs, dim=(0, 2, 3), correction=0)
    return {name: [round(v, 4) for v in t.tolist()] for name, t in (("mean", mean), ("std", std))}
