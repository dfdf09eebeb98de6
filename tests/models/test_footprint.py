import torch
from torch import nn

from clrun.models.copies import empty_copy_of
from clrun.models.footprint import saved_bytes


def test_what_each_layer_keeps_adds_up():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 5))

    # the input of each linear layer, and ReLU's output, which is the input of the second
    assert saved_bytes(model, (3, 2, 2)) == 4 * (12 + 20)


def test_weights_are_not_counted_and_a_frozen_model_keeps_nothing():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 20)).requires_grad_(False)

    assert saved_bytes(model, (3, 2, 2)) == 0


def test_a_model_too_large_to_compute_is_measured_and_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    kept = saved_bytes(model, (1, 10_000, 10_000))

    assert kept >= 4 * 8 * 10**8
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_an_empty_copy_has_the_same_shapes_and_shared_weights_and_no_values():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.BatchNorm1d(4), layer)
    model[1].requires_grad_(False)

    copy = empty_copy_of(model)

    assert copy[0].weight is copy[2].weight
    assert [p.requires_grad for p in copy.parameters()] == [True, True, False, False]
    assert all(t.device.type == "meta" for t in (*copy.parameters(), *copy.buffers()))
    assert all(t.device.type == "cpu" for t in (*model.parameters(), *model.buffers()))
