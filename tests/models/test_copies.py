from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import prune

from clrun.models.copies import copy_of


def test_a_copy_computes_the_same_and_shares_nothing():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    x = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    twin, expected = copy_of(model), model(x)

    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()

    assert torch.equal(model(x), expected)
    assert not twin(x).any()


def test_so_does_that_of_a_model_with_a_weight_that_is_computed():
    model = prune.random_unstructured(nn.Linear(4, 3), "weight", amount=0.5)
    x = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))

    twin = copy_of(model)

    assert torch.equal(twin(x), model(x))
    assert twin.weight_orig is not model.weight_orig
