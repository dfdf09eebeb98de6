"""How the step size changes over an experience: a function of an update's place, so of no history.

`step` and `cosine` are those of PyTorch's `MultiStepLR` and `CosineAnnealingLR` (Loshchilov &
Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts inside an experience), begun afresh
with each experience; `cosine` goes on at every update, not at every epoch. Milestones count epochs,
or with `train_iterations` updates.
`restarts` is what GDumb's authors train with (https://github.com/drimpossible/GDumb): an epoch to
warm up, and `CosineAnnealingWarmRestarts` with cycles that double, which change between epochs.
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
    if keys.schedule == "restarts":
        return _restarted(place.epoch)
    return 1.0


def _restarted(epoch: int) -> float:
    """A tenth, then a cosine from 1 towards 0.01 over 1, 2, 4, ... epochs: GDumb's."""
    if epoch == 0:
        return 0.1
    cycle = 1 << (epoch.bit_length() - 1)  # the epoch that it starts with, and its length
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (epoch - cycle) / cycle)) / 2
