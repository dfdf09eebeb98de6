"""The matrix products of replay on the mlp and nothing else.

As many rows as clrun trains on and evaluates, with memory rows from the second experience on; no
data, no activations, no optimizer. What no loop in the same precision can be faster than.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sides.measure import Meter

WIDTH = 400
EVALUATION = 2048


def forward(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    """The inputs of all layers, then the output; weights are [out, in]."""
    found = [x]
    for weight in weights:
        found.append(found[-1] @ weight.T)
    return found


def update(weights: list[Tensor], x: Tensor) -> None:
    """Multiply forward, and backward to every weight."""
    *inputs, dy = forward(weights, x)
    for depth in reversed(range(len(weights))):
        _ = dy.T @ inputs[depth]
        if depth > 0:
            dy = dy @ weights[depth]


@torch.inference_mode()
def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Multiply matrices as often as the case's updates and evaluations do."""
    data, size = case["data"], case["mb"]
    inputs = data["channels"] * data["side"] ** 2
    widths = [inputs, WIDTH, WIDTH, data["classes"]]
    weights, meter = [torch.randn(o, i) for i, o in pairwise(widths)], Meter()
    rows, held_out = torch.randn(2 * size, inputs), torch.randn(EVALUATION, inputs)
    for experience in range(data["experiences"]):
        share = 1 if experience == 0 else 2
        with meter.phase("train"):
            for left in range(data["train"], 0, -size):
                update(weights, rows[: min(left, size) * share])
        with meter.phase("eval"):
            for left in range(data["test"] * data["experiences"], 0, -EVALUATION):
                forward(weights, held_out[: min(left, EVALUATION)])
    return meter.report()
