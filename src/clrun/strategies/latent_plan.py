"""The minibatches of an epoch of AR1, known before it starts."""

from __future__ import annotations

import torch
from torch import Tensor

from clrun.memory.composition import Composition
from clrun.memory.minibatches import EpochPlan, plan_epoch
from clrun.memory.table import Table
from clrun.seeds import generator
from clrun.strategies.descent_keys import DescentKeys


def planned_rows(
    keys: DescentKeys, y: Tensor, held: Table, seed: int, experience: int, epoch: int
) -> EpochPlan:
    """The minibatches of an epoch: each new row, of the classes y [N], once; held ones equally
    often."""
    rng = generator(seed, "order", experience, epoch)
    sizes = Composition.proportional(
        len(y),
        len(held),
        keys.train_mb_size,
        updates_per_minibatch=keys.updates_per_minibatch,
        drop_last=keys.drop_last,
    )
    return plan_epoch(sizes, y, held.y, torch.zeros_like(held.y), rng)
