"""A replay memory for a strategy, and what its policy can ask of the strategy about rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clrun.device.rows import rows_at_once
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.table import Measure, Table
from clrun.strategies.criterion import row_losses
from clrun.strategies.learner import Learner
from clrun.strategies.strategy import Parts


def replay_memory(mem_size: int, parts: Parts, learner: Learner) -> ReplayMemory:
    """The memory that a run's storage policy and selection strategy describe."""
    policy, selection = parts.storage_policy, parts.selection
    places = mem_size - learner.keys.held_out_places
    return ReplayMemory(places, policy, selection, parts.seed, measures(learner))


def measures(learner: Learner) -> Mapping[str, Measure]:
    """`loss`: the criterion of each row by the weights of now, in evaluation mode. [N] float32

    Nothing is computed before a policy reads it, as `held["loss"]` or `new["loss"]`.
    """

    def loss(rows: Table) -> Tensor:
        size = rows_at_once(learner.keys.eval_mb_size, rows.x, learner.parts.device.torch)
        pieces = zip(rows.x.split(size), rows.y.split(size), strict=True)
        losses = [_losses(learner, x, y) for x, y in pieces if len(y)]
        return torch.cat([torch.empty(0), *losses])

    return {"loss": loss}


def _losses(learner: Learner, x: Tensor, y: Tensor) -> Tensor:
    logits = learner.predict(x)
    y = y.to(logits.device)
    return row_losses(learner.keys.criterion, learner.masked(logits, y), y).cpu()
