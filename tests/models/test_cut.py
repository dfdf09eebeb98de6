import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from clrun.errors import ConfigError
from clrun.models.batch_renorm import replace_bn_with_brn
from clrun.models.cnn import CNN
from clrun.models.cut import cut, evaluation_graph, require_whole
from clrun.models.features import layer_names
from clrun.models.mlp import MLP
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.models.slim_resnet18 import SlimResNet18
from clrun.models.torchvision_model import TorchvisionModel
from clrun.seeds import isolated
from clrun.streams.experience import StreamShape

SHAPE = StreamShape(channels=3, height=32, width=32, num_classes=5, num_experiences=2)


def mlp() -> nn.Module:
    return MLP(MLP.Config(hidden=[8, 6], dropout=0.0, init="pytorch", pretrained=False), SHAPE)


def cnn() -> nn.Module:
    config = CNN.Config(channels=[4, 6], norm="batch", dropout=0.0, pretrained=False)
    return CNN(config, SHAPE)


def slim_resnet18() -> nn.Module:
    return SlimResNet18(SlimResNet18.Config(width=2, pretrained=False), SHAPE)


def mobilenet_v1() -> nn.Module:
    return MobilenetV1(5, latent_layer_num=19)


def mobilenet_v2() -> nn.Module:
    return TorchvisionModel(TorchvisionModel.Config(arch="mobilenet_v2", pretrained=False), SHAPE)


PLACES = [
    *((mlp, "features.flatten"), (mlp, "features.relu0"), (mlp, "features"), (mlp, "output")),
    *((cnn, "features.conv0"), (cnn, "features.norm1"), (cnn, "features.average")),
    *((slim_resnet18, "stem"), (slim_resnet18, "layer2.0"), (slim_resnet18, "layer4")),
    *((mobilenet_v1, f"lat_features.{index}") for index in (0, 11, 19)),
    *((mobilenet_v1, "lat_features.19.bn"), (mobilenet_v1, "lat_features")),
    *((mobilenet_v1, "end_features.3"), (mobilenet_v1, "end_features.7")),
    *((mobilenet_v2, "network.features.3"), (mobilenet_v2, "network.features.0.1")),
    *((mobilenet_v2, "network.features"), (mobilenet_v2, "network.classifier.0")),
]


def build(make: Callable[[], nn.Module]) -> nn.Module:
    with isolated(0, "weights"):
        return make()


def images(rows: int = 2) -> torch.Tensor:
    return torch.randn(rows, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("make", "layer"), PLACES)
def test_the_two_parts_compute_what_the_model_computes(make, layer):
    model, x = build(make).eval(), images()

    lower, upper = cut(model, layer)

    latents = lower(x)
    kept = latents.clone()
    torch.testing.assert_close(upper(latents), model(x), rtol=0, atol=0)
    torch.testing.assert_close(latents, kept, rtol=0, atol=0)


@pytest.mark.parametrize(("make", "layer"), PLACES)
def test_the_parts_share_the_model_s_parameters_under_their_names(make, layer):
    model = build(make)

    lower, upper = cut(model, layer)

    whole = dict(model.named_parameters())
    below, above = dict(lower.named_parameters()), dict(upper.named_parameters())
    assert all(parameter is whole[name] for name, parameter in (below | above).items())
    assert below.keys() | above.keys() == whole.keys()
    assert not below.keys() & above.keys()


@pytest.mark.parametrize(("make", "layer"), PLACES)
def test_the_latent_shape_is_known_beforehand(make, layer):
    model = build(make).eval()

    both = cut(model, layer)

    assert both.latent_shape((3, 32, 32)) == tuple(both.lower(images()).shape[1:])


@pytest.mark.parametrize("make", [mlp, cnn])
def test_a_model_without_branches_is_cut_behind_every_layer(make):
    model, x = build(make).eval(), images(1)
    expected = model(x)

    for layer in layer_names(model):
        lower, upper = cut(model, layer)

        torch.testing.assert_close(upper(lower(x)), expected, rtol=0, atol=0)


@pytest.mark.parametrize("make", [cnn, slim_resnet18, mobilenet_v1, mobilenet_v2])
def test_without_gradients_below_only_the_upper_part_learns(make):
    places = {cnn: "features.pool0", slim_resnet18: "layer2", mobilenet_v1: "lat_features"}
    model = build(make).eval()
    lower, upper = cut(model, places.get(make, "network.features.9"))

    with torch.no_grad():
        latents = lower(images())
    upper(latents).sum().backward()

    assert all(parameter.grad is None for parameter in lower.parameters())
    assert all(parameter.grad is not None for parameter in upper.parameters())


def test_the_parts_have_modes_and_statistics_of_their_own():
    model = build(slim_resnet18).train()
    lower, upper = cut(model, "layer2")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}

    lower.eval()
    upper(lower(images(4)))

    assert not model.stem.norm.training
    assert model.layer3[0].conv1.norm.training
    moved = {n for n, b in model.named_buffers() if not torch.equal(b, before[n])}
    assert moved == {name for name, _ in upper.named_buffers()}
    assert not moved & {name for name, _ in lower.named_buffers()}


def test_a_model_with_batch_renorm_is_cut_too():
    model = replace_bn_with_brn(build(mobilenet_v1)).train()
    lower, upper = cut(model, "lat_features.19")
    lower.eval()
    before = model.lat_features[0].bn.running_avg_std.clone()

    upper(lower(images(4)))

    assert torch.equal(model.lat_features[0].bn.running_avg_std, before)
    assert model.end_features[0].bn.r_max > 1


def test_small_images_are_enlarged_by_the_lower_part():
    model = build(mobilenet_v1).eval()

    both = cut(model, "lat_features")

    assert both.latent_shape((3, 8, 8)) == both.latent_shape((3, 32, 32)) == (512, 2, 2)


def test_an_unknown_layer_is_refused_with_the_nearest_name():
    with pytest.raises(
        ConfigError, match=r"^strategy.latent_layer=layer9: .* Did you mean 'layer\d'"
    ):
        cut(build(slim_resnet18), "layer9")


@pytest.mark.parametrize(
    ("make", "layer", "instead"),
    [
        (slim_resnet18, "layer2.1.conv1", "layer2.0"),
        (slim_resnet18, "layer2.0.shortcut", "layer1"),
        (mobilenet_v2, "network.features.3.conv.1", "network.features.2"),
    ],
)
def test_a_layer_in_a_residual_branch_is_refused_with_one_before_it(make, layer, instead):
    model = build(make)

    with pytest.raises(ConfigError) as refused:
        cut(model, layer, key="strategy.layer")

    assert str(refused.value) == (
        f"strategy.layer={layer}: other data of {type(model).__name__} pass beside this layer, "
        f"which the latents would lack. Use a layer that all data pass, such as '{instead}'."
    )
    cut(model, instead)


class Own(nn.Module):
    """A model with layers of every sort that a forward pass can hold."""

    def __init__(self, forward: Callable[["Own", torch.Tensor], object]) -> None:
        super().__init__()
        self.a, self.b, self.unused = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.compute = forward

    def forward(self, x: torch.Tensor) -> object:
        return self.compute(self, x)


def test_a_layer_that_the_forward_pass_leaves_out_is_refused():
    model = Own(lambda self, x: self.b(self.a(x)))

    with pytest.raises(ConfigError, match=r"makes no tensor with it\. Use .* such as 'b'\.$"):
        cut(model, "unused")


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.b(self.a(x)) if x.sum() > 0 else x,
        lambda self, x: self.b(torch.stack([self.a(row) for row in x])),
        lambda self, x: self.b(self.a(x[: int(x.shape[0])])),
    ],
)
def test_a_model_that_decides_on_its_data_is_refused_in_one_line(forward):
    with pytest.raises(ConfigError, match=r"^strategy\.latent_layer=a: Own cannot be cut, [^\n]*$"):
        cut(Own(forward), "a")


def test_the_size_of_the_minibatch_may_not_pass_beside_the_latents():
    model = Own(lambda self, x: self.b(self.a(x)).view(x.shape[0], 3))

    with pytest.raises(ConfigError, match="pass beside this layer"):
        cut(model, "a")


def test_a_parameter_used_on_both_sides_passes_beside_nothing():
    model = Own(lambda self, x: self.b(self.a(x * self.scale)) * self.scale)
    x = torch.randn(2, 3)

    lower, upper = cut(model, "a")

    torch.testing.assert_close(upper(lower(x)), model(x), rtol=0, atol=0)
    assert lower.scale is upper.scale is model.scale


@pytest.mark.parametrize(
    "change",
    [
        lambda z: functional.relu(z, inplace=True),
        lambda z: z.relu_(),
        lambda z: z.__iadd__(1),
        lambda z: torch.relu_(z),
        lambda z: z.view(-1).sub_(1).view(4, 3),
        lambda z: functional.dropout(z, 0.0).flatten(1).mul_(2),
    ],
)
def test_latents_stay_as_they_are_when_the_model_would_write_over_them(change):
    def forward(self, x):
        return self.b(change(self.a(x)))

    model = Own(forward)
    lower, upper = cut(model, "a")
    latents = lower(torch.randn(4, 3)).detach()
    kept = latents.clone()

    upper(latents)

    assert torch.equal(latents, kept)


def test_latents_that_are_only_read_are_not_copied():
    _, upper = cut(build(slim_resnet18), "layer2")

    assert not any(node.target == "clone" for node in upper.graph.nodes)


def test_a_layer_used_twice_is_cut_behind_its_last_use():
    model = Own(lambda self, x: self.b(self.a(self.a(x))))
    x = torch.randn(2, 3)

    lower, upper = cut(model, "a")

    torch.testing.assert_close(lower(x), model.a(model.a(x)), rtol=0, atol=0)
    torch.testing.assert_close(upper(lower(x)), model(x), rtol=0, atol=0)


class Dropping(nn.Module):
    """Dropout that asks for the mode, in both parts; and another branch while training."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.output = (nn.Linear(8, 8) for _ in range(3))
        self.scale = nn.Parameter(torch.full((1,), 2.0))
        self.register_buffer("shift", torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.dropout(self.first(x), 0.5, self.training)
        x = functional.dropout(self.second(x), 0.5, self.training)
        return self.output(x) * self.scale if self.training else self.output(x) + self.shift


def rows() -> torch.Tensor:
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [True, False])
def test_both_parts_follow_their_mode_whatever_the_forward_pass_reads(training):
    model, x = build(Dropping), rows()
    lower, upper = cut(model, "first")
    model.train(training), lower.train(training), upper.train(training)

    with isolated(1, "dropout"):
        ours = upper(lower(x))

    with isolated(1, "dropout"):
        assert torch.equal(ours, model(x))
    assert torch.equal(ours, upper(lower(x))) is not training


def test_a_part_in_evaluation_draws_nothing_while_the_other_trains():
    model, x = build(Dropping), rows()
    lower, upper = cut(model, "second")
    model.train(), lower.eval()
    before = torch.get_rng_state()

    latents = lower(x)

    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(latents, model.second(model.first(x)))
    assert not torch.equal(upper(latents), upper.eval()(latents))


def test_a_part_that_depends_on_the_mode_has_the_model_s_names_for_its_layers():
    model = build(Dropping)

    lower, upper = cut(model, "first")

    whole = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    parts = [*lower.named_parameters(), *upper.named_parameters(), *upper.named_buffers()]
    assert {name: id(tensor) for name, tensor in parts} == {n: id(t) for n, t in whole.items()}


def test_such_a_part_can_be_copied_and_traced_as_it_evaluates():
    model, x = build(Dropping), rows()
    lower, _ = copy.deepcopy(tuple(cut(model, "first")))

    graph = evaluation_graph(lower)

    assert torch.equal(graph(x), lower.eval()(x))
    assert lower.first is not model.first


def test_the_model_is_in_the_mode_it_was_in_after_the_cut():
    model = build(Dropping).train()
    model.first.eval()

    cut(model, "first")

    assert [m.training for m in (model, model.first, model.second)] == [True, False, True]


class Counting(Dropping):
    """Counts its calls in a number, out of sight of a trace."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


class AsksForTensors(Dropping):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (1 if isinstance(x, torch.Tensor) else 2)


class Hooked(Dropping):
    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(lambda _layer, inputs: (inputs[0] * 2,))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Counting, "its forward pass changes what it reads"),
        (AsksForTensors, "its two parts together give other logits than the whole"),
        (Hooked, "a hook is called for a layer that has layers of its own"),
    ],
)
def test_a_cut_that_would_not_do_what_the_model_does_is_refused(make, reason):
    model = build(make)
    parts = cut(model, "first")

    with pytest.raises(ConfigError, match=f"^some.key: {make.__name__} cannot be cut: {reason}"):
        require_whole(model, parts, (8,), key="some.key")


def test_a_cut_that_does_it_all_is_taken_and_leaves_the_model_alone():
    model = build(Dropping).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    require_whole(model, cut(model, "first"), (8,), key="some.key")

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module.training for module in model.modules())


def test_our_dropout_is_no_reason_to_refuse_a_cut():
    config = MLP.Config(hidden=[8, 6], dropout=0.5, init="pytorch", pretrained=False)
    model = build(lambda: MLP(config, SHAPE)).train()

    require_whole(model, cut(model, "features.relu0"), (3, 32, 32), key="some.key")


class MakesATensor(Dropping):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * torch.full((1,), 2.0)


def test_a_tensor_made_on_the_way_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match="which should be a buffer"):
        cut(build(MakesATensor), "first")
