import pytest
import torch
from torch import nn

from clrun.models.shapes import output_shape


def test_the_shape_is_that_of_a_real_pass_which_leaves_no_trace():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 7))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model[1].eval()

    assert output_shape(model, (3, 5, 5)) == tuple(model(torch.rand(1, 3, 5, 5)).shape[1:]) == (7,)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert [layer.training for layer in model] == [True, False, True, True]
    assert model[0].weight.device.type == "cpu"


def test_an_input_that_does_not_fit_raises():
    with pytest.raises(RuntimeError):
        output_shape(nn.Conv2d(3, 4, 3), (3, 2, 2))


def test_something_else_than_a_tensor_has_no_shape():
    with pytest.raises(TypeError, match="gives a tuple"):
        output_shape(nn.LSTM(3, 4, batch_first=True), (2, 3))


def test_who_watches_the_layers_is_not_told():
    model, seen = nn.Sequential(nn.Linear(3, 4)), []
    model[0].register_forward_hook(lambda *_: seen.append(1))
    model[0].register_forward_pre_hook(lambda *_: seen.append(1))

    output_shape(model, (3,))
    assert not seen

    model(torch.zeros(1, 3))
    assert len(seen) == 2
