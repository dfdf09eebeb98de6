"""Herding of random features: clrun's, and (side `raw`) by the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from clrun.memory.herding import herding
from oracles.herding import by_definition
from sides.arrays import random_features
from sides.measure import Meter


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Sort the first `kept` rows; the picks are kept for comparison."""
    features, kept, meter = random_features(case["rows"]), case["kept"], Meter()
    with meter.phase("sort"):
        if case["side"] == "raw":
            picked = by_definition(features, kept)
        else:
            picked = herding(features, kept).tolist()
    np.savez(case["final_weights"], picked=np.array(picked))
    return meter.report()
