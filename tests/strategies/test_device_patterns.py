from __future__ import annotations

import torch

from clrun.images.patterns import Patterns
from clrun.strategies.device_patterns import DevicePatterns


def test_the_minibatches_of_an_epoch_can_be_taken_in_any_order(parts_of):
    x = torch.arange(10, dtype=torch.uint8).view(-1, 1, 1, 1)
    minibatches = [torch.tensor([3, 1]), torch.tensor([9]), torch.tensor([], dtype=torch.int64)]

    patterns = DevicePatterns(Patterns(x, torch.arange(10) * 2), parts_of().device)
    rows = patterns.minibatches(minibatches)

    for i in (1, 0, 2):
        assert rows[i].x.flatten().tolist() == minibatches[i].tolist()
        assert rows[i].y.tolist() == (minibatches[i] * 2).tolist()
    assert rows[0].x.shape == (2, 1, 1, 1)
