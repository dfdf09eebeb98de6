"""The matrix products of replay on the mlp and nothing else: products_side.py CASE.json OUT.json.

As many rows as clrun trains on and evaluates, with memory rows from the second experience on; no
data, no activations, no optimizer. What no loop in the same precision can be faster than.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from measure import Meter, read_case, write_result
from torch import Tensor

WIDTH = 400
EVALUATION = 2048


def layers(inputs: int, classes: int) -> list[Tensor]:
    """Weights [out, in]."""
    sizes = [inputs, WIDTH, WIDTH, classes]
    return [torch.randn(o, i) for i, o in pairwise(sizes)]


def forward(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    """The inputs of all layers, then the output."""
    found = [x]
    for weight in weights:
        found.append(found[-1] @ weight.T)
    return found


def update(weights: list[Tensor], x: Tensor) -> None:
    """Forward, and backward to every weight."""
    *inputs, dy = forward(weights, x)
    for depth in reversed(range(len(weights))):
        _ = dy.T @ inputs[depth]
        if depth > 0:
            dy = dy @ weights[depth]


@torch.inference_mode()
def main() -> None:
    case = read_case()
    torch.set_num_threads(case["threads"])
    data, size = case["data"], case["mb"]
    inputs = data["channels"] * data["side"] ** 2
    weights, meter = layers(inputs, data["classes"]), Meter()
    rows, held_out = torch.randn(2 * size, inputs), torch.randn(EVALUATION, inputs)
    for experience in range(data["experiences"]):
        share = 1 if experience == 0 else 2
        with meter.phase("train"):
            for left in range(data["train"], 0, -size):
                update(weights, rows[: min(left, size) * share])
        with meter.phase("eval"):
            for left in range(data["test"] * data["experiences"], 0, -EVALUATION):
                forward(weights, held_out[: min(left, EVALUATION)])
    write_result(meter.report())


if __name__ == "__main__":
    main()
