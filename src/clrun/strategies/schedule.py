"""How the step size changes over an experience: a function of an update's place, so of no history.

`step` and `cosine` are those of PyTorch's `MultiStepLR` and `CosineAnnealingLR` (Loshchilov &
Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts inside an experience), begun afresh
with each experience; `cosine` goes on at every update, not at every epoch. Milestones count epochs,
or with `train_iterations` updates.
"""

from __future__ import annotations

import math

from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.places import Place


def rate(keys: DescentKeys, place: Place) -> float:
    """What the step size is multiplied with at one update; 1 at the first of an experience."""
    if keys.schedule == "cosine":
        in_all = keys.train_iterations or keys.train_epochs * place.iterations
        return (1 + math.cos(math.pi * place.made / in_all)) / 2
    if keys.schedule == "step":
        now = place.epoch if keys.train_iterations is None else place.made
        passed = sum(milestone <= now for milestone in keys.schedule_milestones)
        return keys.schedule_factor**passed
    return 1.0
