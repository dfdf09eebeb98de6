"""The loops written by hand, which are the tests' oracles."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.ar1 import AR1Loop
from oracles.by_hand import keep_heap
from oracles.replay import ReplayLoop
from sides.arrays import experiences, weights
from sides.measure import Meter


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Train on the stream, evaluating on all of it after each experience."""
    keep_heap()
    made = {"ar1": AR1Loop, "replay": ReplayLoop}[case["kind"]]
    loop, meter = made(case, weights(case), experiences(case)), Meter()
    for i in range(len(loop.stream)):
        with meter.phase("train"):
            loop.learn(i)
        with meter.phase("eval"):
            accuracy = loop.accuracy()
    np.savez(case["final_weights"], **loop.state())
    return {**meter.report(), "accuracy": accuracy, "patterns": loop.patterns}
