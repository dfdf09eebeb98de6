"""Avalanche's herding of the same features."""

from __future__ import annotations

import builtins
from collections import OrderedDict
from typing import Any

from avalanche.training import storage_policy
from torch import nn

from sides.arrays import random_features
from sides.measure import Meter


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Sort all rows, or the first `picks` and extrapolate from them."""
    rows, picks = case["rows"], case["picks"]
    features = random_features(rows)
    if picks is not None:  # its loop over all rows stops after so many
        storage_policy.range = lambda count: builtins.range(min(count, picks))
    model = nn.Sequential(OrderedDict(features=nn.Identity()))  # unused: features are given
    herding, meter = storage_policy.HerdingSelectionStrategy(model, "features"), Meter()
    with meter.phase("sort"):
        herding.make_sorted_indices_from_features(features)
    share = 1.0 if picks is None else rows / picks
    found = meter.report()
    found |= {name: found[name] * share for name in found if name.endswith(("_cpu", "_wall"))}
    return found | {"extrapolated_from_picks": picks}
