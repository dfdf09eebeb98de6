"""What a strategy can say of a memory's rows when a storage policy or a selection asks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clrun.device.at_once import at_once
from clrun.memory.table import Measure, Table
from clrun.strategies.criterion import row_losses
from clrun.strategies.learner import Learner


def measures(learner: Learner) -> Mapping[str, Measure]:
    """`loss`: the criterion of each row by the weights of now, in evaluation mode. [N] float32

    Nothing is computed before a policy reads it, as `held["loss"]` or `new["loss"]`.
    """

    def loss(rows: Table) -> Tensor:
        size = at_once(learner.keys.eval_mb_size, rows.x, learner.parts.device.torch)
        pieces = zip(rows.x.split(size), rows.y.split(size), strict=True)
        losses = [_losses(learner, x, y) for x, y in pieces if len(y)]
        return torch.cat([torch.empty(0), *losses])

    return {"loss": loss}


def _losses(learner: Learner, x: Tensor, y: Tensor) -> Tensor:
    logits = learner.predict(x)
    return row_losses(learner.keys.criterion, logits, y.to(logits.device)).cpu()
