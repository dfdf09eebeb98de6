"""Convolutions that contain the normalisation behind them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import spectral_norm

from clrun.fast.folding import FoldedConv, folded
from clrun.models.batch_renorm import BatchRenorm2D, replace_bn_with_brn
from clrun.models.cut import cut, evaluation_graph
from clrun.models.mobilenet_v1 import MobilenetV1

TOLERANCE = 1e-5
"""Share of the largest value: scaling weights instead of the result rounds differently."""


def lived_in(model: nn.Module) -> nn.Module:
    """With statistics, scales and shifts that are not those of a new model, in evaluation mode."""
    rng = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            values = [*module.parameters(), module.running_mean, module.running_var]
            for value in values:
                value.data.copy_(torch.rand(value.shape, generator=rng) + 0.5)
    return model.eval()


def lower_part(*, renorm: bool = True) -> fx.GraphModule:
    torch.manual_seed(0)
    model = lived_in(MobilenetV1(10, latent_layer_num=5))
    return cut(replace_bn_with_brn(model) if renorm else model, "lat_features").lower


def images() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def gradients(part: nn.Module, x: Tensor) -> dict[str, Tensor]:
    part.zero_grad()
    part(x).square().sum().backward()
    return {name: p.grad.clone() for name, p in part.named_parameters() if p.grad is not None}


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.mark.parametrize("renorm", [True, False])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_outputs_are_those_of_the_separate_layers(
    renorm: bool, order: torch.memory_format
) -> None:
    part = lower_part(renorm=renorm).to(memory_format=order)
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    ours, theirs = folded(part, tricks=True)(x), part(x)

    assert_close(ours, theirs)


@pytest.mark.parametrize("renorm", [True, False])
def test_so_are_the_gradients_of_all_parameters(renorm: bool) -> None:
    part = lower_part(renorm=renorm)
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    theirs = gradients(part, x)

    folded_gradients = gradients(folded(part, tricks=True), x)

    layers = dict(part.named_parameters())
    shared = {id(p): name for name, p in folded(part, tricks=True).named_parameters()}
    assert {id(p) for p in layers.values()} == set(shared)
    for name, parameter in layers.items():
        assert_close(folded_gradients[shared[id(parameter)]], theirs[name])


def test_the_gradient_of_the_images_is_theirs_too() -> None:
    part = lower_part()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1), requires_grad=True)

    (theirs,) = torch.autograd.grad(part(x).square().sum(), x)
    (ours,) = torch.autograd.grad(folded(part, tricks=True)(x).square().sum(), x)

    assert_close(ours, theirs)


def test_no_normalisation_is_left_behind_a_convolution() -> None:
    part = lower_part()

    names = [
        str(node.target)
        for node in folded(part, tricks=True).graph.nodes
        if node.op == "call_module"
    ]

    assert len(names) == 6  # one for each layer of the part
    assert not [name for name in names if name.endswith((".bn", ".activ"))]


def test_the_layers_are_shared_so_that_learning_shows() -> None:
    part = lower_part()
    fast, x = folded(part, tricks=True), torch.ones(1, 3, 32, 32)
    before = fast(x)

    with torch.no_grad():
        part.get_submodule("lat_features.0.bn").beta.add_(1.0)

    assert not torch.equal(fast(x), before)
    assert_close(fast(x), part(x))


def test_a_residual_model_gives_right_gradients_where_branches_share_them() -> None:
    """Both branches of an addition get one and the same gradient: nobody may write into it."""
    torch.manual_seed(0)
    part = fx.symbolic_trace(lived_in(residual()))
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    theirs = gradients(copy.deepcopy(part), x)

    ours = gradients(folded(part, tricks=True), x)

    shared = {id(p): name for name, p in folded(part, tricks=True).named_parameters()}
    for name, parameter in part.named_parameters():
        assert_close(ours[shared[id(parameter)]], theirs[name])


def residual() -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
            self.first_norm, self.second_norm = nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            y = self.relu(self.first_norm(self.first(x)))
            z = self.second_norm(self.second(y))
            return self.relu(y + z) * z

    return Block()


def test_a_layer_in_training_mode_is_refused() -> None:
    layer = FoldedConv(nn.Conv2d(2, 2, 1), BatchRenorm2D(2).train())

    with pytest.raises(AssertionError, match="training mode"):
        layer(torch.zeros(1, 2, 2, 2))


def test_a_normalisation_without_running_statistics_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)).eval()
    part, x = fx.symbolic_trace(model), torch.randn(2, 2, 3, 3)

    fast = folded(part, tricks=True)

    assert torch.equal(fast(x), part(x))


def test_reduced_precision_is_autocast_s_business() -> None:
    part = lower_part()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = folded(part, tricks=True)(x)
        ours.float().square().sum().backward()

    assert ours.dtype == torch.bfloat16
    assert (ours.float() - part(x)).abs().max() < 0.05 * part(x).abs().max()


def test_branches_that_meet_in_an_addition_do_not_spoil_each_other_s_gradient() -> None:
    """It hands one and the same gradient to both; a ReLU that wrote into it would spoil it."""
    torch.manual_seed(0)
    part = fx.symbolic_trace(lived_in(two_branches()))
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    theirs = gradients(copy.deepcopy(part), x)

    fast = folded(part, tricks=True)
    ours = gradients(fast, x)

    shared = {id(p): name for name, p in fast.named_parameters()}
    for name, parameter in part.named_parameters():
        assert_close(ours[shared[id(parameter)]], theirs[name])


def two_branches() -> nn.Module:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
            self.first_norm, self.second_norm = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
            self.relu, self.other = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            y = self.relu(self.first_norm(self.first(x)))
            return y + self.other(self.second_norm(self.second(x)))

    return Branches()


def fold_names(part: fx.GraphModule) -> list[str]:
    return [name for name, m in folded(part, tricks=True).named_modules() if type(m) is FoldedConv]


class Standardised(nn.Conv2d):
    """Another computation than its class's."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


class Doubled(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class DoubledRenorm(BatchRenorm2D):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Negating(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return -super().forward(x)


def own_forward(layer: nn.Module) -> nn.Module:
    theirs = layer.forward
    layer.forward = lambda x: theirs(x) * 2  # type: ignore[method-assign]
    return layer


def with_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda _layer, _inputs, output: output * 2)
    return layer


def stack(
    conv: nn.Module | None = None, norm: nn.Module | None = None, relu: nn.Module | None = None
) -> fx.GraphModule:
    torch.manual_seed(0)
    usual = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    layers = [given or plain for given, plain in zip((conv, norm, relu), usual, strict=True)]
    return evaluated_graph(nn.Sequential(*layers))


def evaluated_graph(model: nn.Module) -> fx.GraphModule:
    graph = evaluation_graph(lived_in(model))
    assert graph is not None
    return graph


@pytest.mark.parametrize(
    "part",
    [
        lambda: stack(conv=Standardised(3, 4, 3)),
        lambda: stack(conv=with_hook(nn.Conv2d(3, 4, 3))),
        lambda: stack(conv=own_forward(nn.Conv2d(3, 4, 3))),
        lambda: stack(conv=spectral_norm(nn.Conv2d(3, 4, 3))),
        lambda: stack(norm=Doubled(4)),
        lambda: stack(norm=DoubledRenorm(4)),
        lambda: stack(norm=with_hook(nn.BatchNorm2d(4))),
        lambda: stack(norm=own_forward(nn.BatchNorm2d(4))),
    ],
)
def test_a_layer_that_may_compute_something_else_is_not_folded(part) -> None:
    whole = part()

    assert not fold_names(whole)
    assert torch.equal(folded(whole, tricks=True)(images()), whole(images()))


@pytest.mark.parametrize("relu", [Negating(), with_hook(nn.ReLU()), own_forward(nn.ReLU())])
def test_so_is_a_relu_left_out_of_the_convolution(relu: nn.Module) -> None:
    part = stack(relu=relu)

    assert len(fold_names(part)) == 1
    assert_close(folded(part, tricks=True)(images()), part(images()))


def test_a_convolution_that_others_use_too_stays() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return self.norm(y) + y

    part = evaluated_graph(Beside())

    assert not fold_names(part)
    assert torch.equal(folded(part, tricks=True)(images()), part(images()))


def test_a_normalisation_that_goes_on_training_is_not_folded() -> None:
    part = stack()
    part.get_submodule("1").train()

    assert not fold_names(part)


def test_without_tricks_a_part_stays_as_it_is() -> None:
    part = lower_part()

    assert folded(part, tricks=False) is part
