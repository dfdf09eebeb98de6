"""Sums over rows of a power of each row's gradient, whatever the model is made of."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from clrun.models.batch_renorm import BatchRenorm2D, replace_bn_with_brn
from clrun.models.dropout import SeededDropout
from clrun.models.mlp import MLP
from clrun.models.slim_resnet18 import SlimResNet18
from clrun.seeds import isolated
from clrun.strategies import row_gradients
from clrun.strategies.row_gradients import RowGradients, Sums
from clrun.streams.experience import StreamShape
from oracles.importances import fisher, sensitivity

CLASSES = 3


class Tied(nn.Module):
    """A layer that is called twice, and ReLU in place of its output."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 6)
        self.output = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.hidden(x.flatten(1)), inplace=True)
        return self.output(self.hidden(x))


class Attending(nn.Module):
    """Tokens of its own beside those of the image, in layers that take several tokens of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 2))
        self.embed, self.output = nn.Linear(2, 2), nn.Linear(2, CLASSES)
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.token.expand(len(x), 1, 2), self.embed(x.reshape(-1, 3, 2))], 1)
        return self.output((tokens * self.scale).tanh().mean(1))


class Elsewhere(nn.Module):
    """A weight that is used outside its layer, so that no hook on a layer could see it."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x.flatten(1)).tanh()
        return self.output(hidden) + (hidden @ self.hidden.weight)[:, :CLASSES]


class Nested(nn.Module):
    """A layer that is given what is no tensor."""

    class Scaled(nn.Linear):
        def forward(self, x: Tensor, factor: float = 1.0) -> Tensor:  # type: ignore[override]
            return super().forward(x) * factor

    def __init__(self) -> None:
        super().__init__()
        self.output = self.Scaled(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(x.flatten(1), 2.0)


def convolutional() -> nn.Module:
    layers = [
        nn.Conv2d(1, 4, 3, stride=2, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding=(1, 0), dilation=(1, 2), groups=2),
        nn.Hardswish(inplace=True),
        nn.Conv2d(4, 4, 1, bias=False),
        SeededDropout(0.5),
        nn.Flatten(),
    ]
    return nn.Sequential(*layers, nn.LazyLinear(CLASSES))


def resnet(*, renormalised: bool = False) -> nn.Module:
    model = SlimResNet18(SlimResNet18.Config(width=2, pretrained=False), shape(3))
    return replace_bn_with_brn(model) if renormalised else model


def mlp() -> nn.Module:
    keys = {"hidden": [5], "dropout": 0.5, "init": "pytorch", "pretrained": False}
    return MLP(MLP.Config(**keys), shape(1))


def shape(channels: int) -> StreamShape:
    return StreamShape(channels=channels, height=8, width=8, num_classes=CLASSES, num_experiences=1)


SMALL, WIDE, COLOUR = (1, 6, 1), (1, 12, 12), (3, 8, 8)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (1, 8, 8)),
    "softmax": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, CLASSES)), SMALL),
    "convolutional": (convolutional, WIDE),
    "slim_resnet18": (resnet, COLOUR),
    "batch renormalised": (lambda: resnet(renormalised=True), COLOUR),
    "mobilenet_v2": (lambda: mobilenet_v2(num_classes=CLASSES, width_mult=0.1), (3, 16, 16)),
    "a layer twice": (Tied, SMALL),
    "tokens": (Attending, SMALL),
}
ONE_BY_ONE = {"a weight elsewhere": (Elsewhere, SMALL), "an odd layer": (Nested, SMALL)}


def built(
    make: Callable[[], nn.Module], image: tuple[int, ...], rows: int
) -> tuple[nn.Module, Tensor]:
    """A model with statistics of its own, evaluating, and inputs for it."""
    with isolated(0, "weights"):
        model, x = make(), torch.randn(rows, *image)
        model.eval()(x)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
            elif isinstance(module, BatchRenorm2D):
                module.running_avg_mean.normal_()
                module.running_avg_std.uniform_(0.5, 2)
    return model, x


def exact(model: nn.Module, x: Tensor) -> tuple[Sums, RowGradients]:
    """The exact Fisher information, summed over rows."""
    with torch.no_grad():
        p = model(x).softmax(1)
    gradients = RowGradients(model, dict(model.named_parameters()), 2)
    return gradients.sums(x, torch.eye(CLASSES) - p[:, None], p), gradients


def assert_close(found: Sums, expected: Sums, rows: int) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        size = max(float(values.abs().max()), 1e-12) * rows
        torch.testing.assert_close(
            found[name].double(), values * rows, rtol=1e-3, atol=1e-5 * size, msg=name
        )


@pytest.mark.parametrize("name", [*MODELS, *ONE_BY_ONE])
def test_squares_are_those_of_each_row_by_itself(name):
    model, x = built(*{**MODELS, **ONE_BY_ONE}[name], rows=5)

    found, gradients = exact(model, x)

    assert gradients.by_layers == (name in MODELS)
    assert_close(found, fisher(model, x, "exact", []), 5)


@pytest.mark.parametrize("name", ["convolutional", "a layer twice", "tokens", *ONE_BY_ONE])
def test_absolute_values_are_those_of_each_row_by_itself(name):
    model, x = built(*{**MODELS, **ONE_BY_ONE}[name], rows=5)
    with torch.no_grad():
        directions = 2 * model(x)[:, None]

    gradients = RowGradients(model, dict(model.named_parameters()), 1)
    found = gradients.sums(x, directions, torch.ones(5, 1))

    assert gradients.by_layers == (name in MODELS)
    assert_close(found, sensitivity(model, x), 5)


def test_how_many_rows_are_read_at_once_changes_nothing_but_rounding(monkeypatch):
    model, x = built(*MODELS["convolutional"], rows=7)
    together, gradients = exact(model, x)
    monkeypatch.setattr(row_gradients, "BUDGET", 3000)

    apart, fewer = exact(model, x)

    assert 1 <= fewer.rows_at_once < 7 <= gradients.rows_at_once
    for name, values in together.items():
        torch.testing.assert_close(apart[name], values, rtol=1e-4, atol=1e-7)


def test_memory_is_bounded_by_the_largest_gradient_of_a_row():
    wide = nn.Sequential(
        nn.Conv2d(1, 512, 3), nn.Conv2d(512, 512, 3), nn.Flatten(), nn.Linear(512, 3)
    )
    model, x = built(lambda: wide, (1, 5, 5), rows=2)

    _, gradients = exact(model, x)

    assert gradients.rows_at_once * 512 * 512 * 9 * 4 <= row_gradients.BUDGET


def test_a_model_that_mixes_rows_is_not_read_layer_by_layer(caplog):
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.output = nn.Linear(6, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return self.output(x) * self.output(x.mean(0, keepdim=True))

    model, x = built(Mixing, SMALL, rows=4)

    with caplog.at_level(logging.WARNING, "clrun.note"):
        _, gradients = exact(model, x)

    assert not gradients.by_layers
    assert "Mixing is read one row at a time" in caplog.text


def test_only_the_parameters_asked_for_are_read():
    model, x = built(mlp, (1, 8, 8), rows=4)
    everything, _ = exact(model, x)
    model.features.requires_grad_(False)

    gradients = RowGradients(model, {"mine": model.output.weight}, 2)
    with torch.no_grad():
        p = model(x).softmax(1)
    found = gradients.sums(x, torch.eye(CLASSES) - p[:, None], p)

    assert list(found) == ["mine"]
    torch.testing.assert_close(found["mine"], everything["output.weight"])


def test_nothing_is_read_for_no_parameters():
    model, x = built(mlp, (1, 8, 8), rows=4)

    assert RowGradients(model, {}, 2).sums(x, torch.ones(4, 1, CLASSES), torch.ones(4, 1)) == {}


def test_a_parameter_that_no_row_passes_has_none():
    unused = OrderedDict(flatten=nn.Flatten(), output=nn.Linear(6, CLASSES))
    model, x = built(lambda: nn.Sequential(unused), SMALL, rows=4)
    model.register_parameter("idle", nn.Parameter(torch.ones(2)))

    found, gradients = exact(model, x)

    assert gradients.by_layers
    assert found["idle"].eq(0).all()
    assert found["output.weight"].gt(0).any()


def test_the_model_stays_as_it_is():
    model, x = built(*MODELS["convolutional"], rows=4)
    before = deepcopy(model.state_dict())

    exact(model, x)

    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
