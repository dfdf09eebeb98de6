"""How far clrun's AR1 and Avalanche's are apart on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np


def parity(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Relative differences: of the first logits, and of the losses of each experience."""
    logits = [np.array(side["logits"]) for side in (ours, theirs)]
    told: dict[str, Any] = {
        "logits_difference": float(np.abs(logits[0] - logits[1]).max() / np.abs(logits[1]).max())
    }
    differences = []
    for mine, other in zip(ours["losses"], theirs["losses"], strict=True):
        a, b = np.array(mine), np.array(other)
        differences.append(float((np.abs(a - b) / np.abs(b)).max()))
    return told | {"losses_difference": max(differences), "losses_by_experience": differences}
