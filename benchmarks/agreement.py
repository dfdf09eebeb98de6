"""How far two sides are apart in what they computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SMALLEST = 1e-3
"""The size that weights are compared with where all of a tensor's are smaller."""


def difference(first: Path, second: Path) -> float:
    """Largest difference of two sides' weights, in units of a tensor's largest. 0: same bits."""
    with np.load(first) as ours, np.load(second) as theirs:
        assert set(ours.files) == set(theirs.files), set(ours.files) ^ set(theirs.files)
        return max(
            float(np.abs(ours[name] - theirs[name]).max())
            / max(float(np.abs(theirs[name]).max()), SMALLEST)
            for name in ours.files
        )


def parity(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Relative differences of two AR1s: of the first logits, of the losses by experience."""
    a, b = (np.array(side["logits"]) for side in (ours, theirs))
    pairs = zip(ours["losses"], theirs["losses"], strict=True)
    losses = [float(np.abs(np.divide(mine, other) - 1).max()) for mine, other in pairs]
    return {
        "logits_difference": float(np.abs(a - b).max() / np.abs(b).max()),
        "losses_difference": max(losses),
        "losses_by_experience": losses,
    }
