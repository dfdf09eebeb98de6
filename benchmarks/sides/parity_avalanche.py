"""Avalanche's AR1 on the rows of clrun's."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from oracles.avalanche_ar1 import losses_on_given_rows
from sides.arrays import experiences, weights


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Train on the plans of clrun's side; the losses and the second logits."""
    warnings.simplefilter("ignore")
    rows = torch.load(case["rows_file"])
    losses, logits = losses_on_given_rows(
        case, weights(case), experiences(case), rows["plans"], rows["chosen"]
    )
    return {"losses": losses, "logits": logits}
