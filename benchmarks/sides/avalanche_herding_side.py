"""Avalanche's herding of the same features: SIDE.py CASE.json OUT.json."""

from __future__ import annotations

import builtins
from collections import OrderedDict

import torch
from avalanche.training import storage_policy
from features import random_features
from measure import Meter, read_case, write_result
from torch import nn


def main() -> None:
    case = read_case()
    torch.set_num_threads(case["threads"])
    rows, picks = case["rows"], case["picks"]
    features = random_features(rows)
    if picks is not None:  # its loop over all rows stops after so many
        storage_policy.range = lambda count: builtins.range(min(count, picks))
    model = nn.Sequential(OrderedDict(features=nn.Identity()))  # unused: features are given
    herding = storage_policy.HerdingSelectionStrategy(model, "features")
    meter = Meter()
    with meter.phase("sort"):
        herding.make_sorted_indices_from_features(features)
    told = meter.report()
    share = 1.0 if picks is None else rows / picks
    told |= {name: told[name] * share for name in told if name.endswith(("_cpu", "_wall"))}
    write_result(told | {"extrapolated_from_picks": picks})


if __name__ == "__main__":
    main()
