"""Convolutions that contain the normalisation behind them."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
from torch import Tensor, fx, nn

import clrun
from clrun.fast.folding import EvaluatingForm, FoldedConv, evaluating_form, folded
from clrun.models.batch_renorm import BatchRenorm2D, replace_bn_with_brn
from clrun.models.cut import cut, evaluation_graph
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.models.slim_resnet18 import SlimResNet18
from clrun.runner.prepare import build
from clrun.streams.experience import StreamShape

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


def slim() -> SlimResNet18:
    torch.manual_seed(0)
    shape = StreamShape(channels=3, height=16, width=16, num_classes=5, num_experiences=1)
    model = SlimResNet18(SlimResNet18.Config(width=4, pretrained=False), shape)
    return cast(SlimResNet18, lived_in(model))


def form_of(model: nn.Module) -> tuple[EvaluatingForm, list[nn.Module]]:
    """With the folded models that it made callable."""
    made: list[nn.Module] = []

    def runnable(form: nn.Module) -> nn.Module:
        made.append(form)
        return form

    return EvaluatingForm(model, model, runnable, evaluation_graph), made


def test_a_residual_network_evaluates_as_its_separate_layers_do() -> None:
    model, x = slim(), images()
    form, made = form_of(model)

    ours = form(x)

    assert_close(ours, model(x))
    folds = [m for m in made[0].modules() if isinstance(m, FoldedConv)]
    assert len(folds) == len([m for m in model.modules() if isinstance(m, nn.Conv2d)])
    assert sum(fold.relu for fold in folds) == 9  # the stem's, and one in each of eight blocks


def test_evaluation_sees_what_was_learnt_since() -> None:
    model, x = slim(), images()
    form, made = form_of(model)
    before = form(x)

    model.train()(images())
    with torch.no_grad():
        model.layer1[0].conv1.conv.weight.mul_(1.5)
    model.eval()
    after = form(x)

    assert_close(after, model(x))
    assert not torch.equal(after, before)
    assert len(made) == 1


def test_evaluation_sees_a_layer_that_took_another_s_place() -> None:
    model, x = slim(), images()
    form, made = form_of(model)
    form(x)

    model.output = nn.Linear(model.output.in_features, 7)

    assert_close(form(x), model(x))
    assert len(made) == 2


class Choosy(nn.Module):
    """Looks at its data before it decides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return y if y.sum() > 0 else -y


@pytest.mark.parametrize("model", [Choosy(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())])
def test_a_model_that_cannot_be_folded_evaluates_itself(model: nn.Module) -> None:
    form, made = form_of(model.eval())

    assert torch.equal(form(images()), model(images()))
    assert not made


class Heads(nn.Module):
    """A shared part, and the head that an attribute names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.heads = nn.ModuleList([nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)])
        self.scale = nn.Parameter(torch.ones(1))
        self.current = 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.heads[self.current](self.norm(self.conv(x))) * self.scale
        return -y if self.training else y


def test_evaluation_follows_an_attribute_that_decides() -> None:
    model, x = lived_in(Heads()), images()
    form, _ = form_of(model)
    first = form(x)

    model.current = 1

    assert_close(form(x), model(x))
    assert not torch.equal(form(x), first)


def test_evaluation_follows_a_parameter_that_was_exchanged() -> None:
    model, x = lived_in(Heads()), images()
    form, _ = form_of(model)
    form(x)

    model.scale = nn.Parameter(torch.full((1,), 3.0))

    assert_close(form(x), model(x))


def test_a_model_is_traced_as_it_evaluates() -> None:
    model, x = lived_in(Heads()).train(), images()
    graph = evaluation_graph(model)
    assert graph is not None

    model.eval()

    assert_close(folded(graph, tricks=True)(x), model(x))


def test_without_tricks_the_layers_stay_as_they_are() -> None:
    model, part = slim(), lower_part()
    device = build(clrun.compose(["device=cpu", "device.tricks=off"]).nodes["device"])

    form = evaluating_form(model, model, device, evaluation_graph)

    assert form is model
    assert folded(part, tricks=False) is part
