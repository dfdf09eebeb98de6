from __future__ import annotations

import pytest
import torch
from torch import nn

from clrun.models.dropout import SeededDropout
from clrun.models.macs import forward_macs, training_macs
from clrun.models.mobilenet_v1 import MobilenetV1

SHAPE = (3, 8, 8)


def test_a_forward_pass_of_mobilenet_at_128_px_costs_what_its_layers_add_up_to():
    model = MobilenetV1(50)

    whole = forward_macs(model, (3, 128, 128))
    lower = forward_macs(model.lat_features, (3, 128, 128))

    assert (whole, lower) == (185_427_968, 126_140_416)


def test_a_linear_layer_costs_its_size_forward_and_for_its_gradient():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))

    macs = training_macs(model, SHAPE)

    assert macs == 2 * 192 * 10  # nobody asks for the gradient of the images


def test_a_hidden_layer_passes_its_gradient_on():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 20), nn.ReLU(), nn.Linear(20, 10))

    macs = training_macs(model, SHAPE)

    assert macs == 2 * 192 * 20 + 3 * 20 * 10


def test_a_convolution_costs_its_size_at_every_position():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 64, 10))

    macs = training_macs(model, SHAPE)

    assert macs == 2 * (3 * 9 * 4 * 64) + 3 * (4 * 64 * 10)


def test_frozen_layers_cost_their_forward_pass_alone():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 20), nn.Linear(20, 10))
    model[1].requires_grad_(False)

    macs = training_macs(model, SHAPE)

    assert macs == 192 * 20 + 2 * 20 * 10


@pytest.mark.parametrize(
    "layer", [SeededDropout(0.5), nn.BatchNorm1d(192), nn.Dropout(0.5), nn.Identity()]
)
def test_counting_computes_nothing_and_leaves_the_model_as_it_is(layer):
    model = nn.Sequential(nn.Flatten(), layer, nn.Linear(192, 10)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rng = torch.get_rng_state()

    macs = training_macs(model, SHAPE)

    # where a layer before it learns, the gradient of its input is asked for too
    assert macs == (3 if isinstance(layer, nn.BatchNorm1d) else 2) * 192 * 10
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None and p.device.type == "cpu" for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), rng)


def test_a_channel_of_a_grouped_convolution_meets_its_own_group_alone():
    first, grouped = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4)

    macs = training_macs(nn.Sequential(first, grouped), SHAPE)

    assert macs == 2 * (3 * 8 * 64) + 3 * (9 * 8 * 2 * 64)


def test_a_transposed_convolution_costs_its_size_at_every_position_it_reads():
    model = nn.ConvTranspose2d(3, 5, 3, stride=2)

    assert training_macs(model, SHAPE) == 2 * (3 * 5 * 9 * 64)


def test_attention_costs_its_projections_and_the_products_of_all_pairs_of_tokens():
    tokens, width, hidden = 3, 16, 32
    model = nn.Sequential(
        nn.Flatten(2), nn.Linear(64, width), nn.TransformerEncoderLayer(width, 2, hidden)
    )

    macs = forward_macs(model, SHAPE)

    projections = 64 * width + 3 * width**2 + width**2 + 2 * width * hidden
    # the layer takes the first dimension, our two inputs, for the tokens
    assert macs == tokens * (projections + 2 * 2 * width)
