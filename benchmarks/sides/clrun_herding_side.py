"""clrun's herding of random features, its picks checked: SIDE.py CASE.json OUT.json."""

from __future__ import annotations

import torch
from features import random_features
from measure import Meter, read_case, write_result
from torch import Tensor

from clrun.memory.selection import HerdingSelectionStrategy


def main() -> None:
    case = read_case()
    torch.set_num_threads(case["threads"])
    features = random_features(case["rows"])
    herding = HerdingSelectionStrategy(
        HerdingSelectionStrategy.Config(layer_name=None, normalize=False)
    )
    meter = Meter()
    with meter.phase("sort"):
        picked = herding.make_sorted_indices_from_features(features, case["kept"])
    told = meter.report()
    assert picked == by_definition(features, case["kept"]), "not the definition's picks"
    write_result(told)


def by_definition(features: Tensor, k: int) -> list[int]:
    """The first k picks in float64, where every pick computes every candidate's mean anew."""
    f = features.double()
    mean, picked_mean = f.mean(0), torch.zeros(f.shape[1], dtype=torch.float64)
    is_picked = torch.zeros(len(f), dtype=torch.bool)
    order: list[int] = []
    for t in range(k):
        means = (t * picked_mean + f) / (t + 1)
        distances = ((means - mean) ** 2).sum(1).masked_fill_(is_picked, torch.inf)
        order.append(int(distances.argmin()))
        is_picked[order[-1]] = True
        picked_mean = means[order[-1]]
    return order


if __name__ == "__main__":
    main()
