import pytest
import torch

from clrun.models.mlp import MLP
from clrun.seeds import isolated
from clrun.streams.experience import StreamShape


def mlp(*, hidden=(400, 400), dropout=0.0, init="pytorch", size=28, classes=10) -> MLP:
    config = MLP.Config(hidden=list(hidden), dropout=dropout, init=init, pretrained=False)
    shape = StreamShape(channels=1, height=size, width=size, num_classes=classes, num_experiences=5)
    with isolated(0, "weights"):
        return MLP(config, shape)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_default_network_is_784_400_400_10():
    model = mlp()

    assert parameters(model) == (784 + 1) * 400 + (400 + 1) * 400 + (400 + 1) * 10


def test_without_hidden_layers_it_is_softmax_regression_on_pixels():
    model = mlp(hidden=())
    x = torch.rand(3, 1, 28, 28)

    logits = model(x)

    torch.testing.assert_close(logits, x.flatten(1) @ model.output.weight.T + model.output.bias)


def test_layers_have_the_names_that_a_configuration_may_use():
    names = [name for name, _ in mlp(hidden=(5, 4), dropout=0.5).named_modules() if name]

    assert names == [
        "features",
        "features.flatten",
        "features.linear0",
        "features.relu0",
        "features.dropout0",
        "features.linear1",
        "features.relu1",
        "features.dropout1",
        "output",
    ]


def test_xavier_weights_fill_glorots_bound_and_biases_are_zero():
    model = mlp(init="xavier")

    layer = model.features.linear0
    bound = (6 / (784 + 400)) ** 0.5
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert layer.bias.eq(0).all()
    assert model.output.bias.eq(0).all()


def test_the_same_seed_gives_the_same_initial_weights():
    first, second = mlp(), mlp()

    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_published_weights_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"^pretrained=true: .* mlp\. Give a file of weights"):
        MLP.Config(hidden=[4], dropout=0.0, init="pytorch", pretrained=True)
