import torch
from torch import nn

from clrun.models.layers import BatchNorm2d, GlobalAveragePool


def test_the_average_pool_is_the_mean_of_each_channel():
    x = torch.arange(12.0).view(1, 2, 2, 3)

    assert GlobalAveragePool()(x).tolist() == [[2.5, 8.5]]
    assert GlobalAveragePool(keepdim=True)(x).tolist() == [[[[2.5]], [[8.5]]]]


def test_many_values_are_normalised_as_pytorch_does():
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3)
    x = torch.rand(4, 3, 5, 5)

    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)


def test_a_lone_value_is_normalised_by_the_running_statistics_which_it_leaves_alone():
    norm = BatchNorm2d(2)
    norm(torch.rand(8, 2, 4, 4))
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    x = torch.rand(1, 2, 1, 1)

    y = norm(x)

    torch.testing.assert_close(y, norm.eval()(x), rtol=0, atol=0)
    torch.testing.assert_close(dict(norm.state_dict()), before, rtol=0, atol=0)
