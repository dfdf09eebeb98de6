"""The accuracy of the class that is known worst."""

from __future__ import annotations

import numpy as np

from clrun.metrics import Measurements, Metric, Undefined


def lowest(measured: Measurements) -> float:
    """The lowest accuracy of a class, after the last experience."""
    final = np.asarray(measured.class_accuracy, dtype=float)[-1]
    if np.isnan(final).all():
        raise Undefined("no class was evaluated after the last experience")
    return float(np.nanmin(final))


worst_class = Metric(
    key="worst_class",
    label="worst class",
    meaning="lowest accuracy of a class, after the last experience",
    better="higher",
    function=lowest,
)
