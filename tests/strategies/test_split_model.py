from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from clrun.errors import ConfigError
from clrun.models.batch_renorm import BatchRenorm2D
from clrun.models.cnn import CNN
from clrun.models.mlp import MLP
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.models.slim_resnet18 import SlimResNet18
from clrun.strategies.split_model import SplitModel
from clrun.strategies.split_model_keys import SplitModelKeys
from clrun.streams.experience import StreamShape

DEFAULTS: dict[str, Any] = {
    "latent_layer_num": 19,
    "latent_layer": None,
    "freeze_below_layer": "lat_features.19.bn.beta",
    "freeze_from": 1,
    "norm": "brn",
    "init_update_rate": 0.01,
    "inc_update_rate": 5e-5,
    "max_r_max": 1.25,
    "max_d_max": 0.5,
    "inc_step": 4.1e-5,
}
SHAPE = StreamShape(channels=1, height=8, width=8, num_classes=4, num_experiences=2)


def halves(model: nn.Module, **changes: Any) -> SplitModel:
    return SplitModel(model, SplitModelKeys(**{**DEFAULTS, **changes}))


def mobilenet(latent_layer_num: int = 19) -> MobilenetV1:
    return MobilenetV1(4, latent_layer_num, in_channels=1)


def mlp(**changes: Any) -> MLP:
    keys = {"hidden": [6, 5], "dropout": 0.0, "init": "pytorch", "pretrained": False, **changes}
    return MLP(MLP.Config(**keys), SHAPE)


def cnn() -> CNN:
    return CNN(CNN.Config(channels=[4, 6], norm="batch", dropout=0.5, pretrained=False), SHAPE)


def resnet() -> SlimResNet18:
    return SlimResNet18(SlimResNet18.Config(width=2, pretrained=False), SHAPE)


def names(model: nn.Module, *, trainable: bool) -> list[str]:
    return [name for name, p in model.named_parameters() if p.requires_grad == trainable]


def images(rows: int = 3, side: int = 8) -> torch.Tensor:
    return torch.randn(rows, 1, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", [mobilenet, mlp, cnn, resnet])
def test_the_halves_together_are_the_model(make):
    model = make()
    model.eval()
    before = model(images())

    cut = halves(model).cut
    model.eval()

    torch.testing.assert_close(cut.upper(cut.lower(images())), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("number", "shape"), [(0, (32, 16, 16)), (11, (256, 2, 2)), (27, (1024, 1, 1))]
)
def test_mobilenet_is_cut_behind_the_layer_with_the_number(number, shape):
    model = mobilenet()

    built = halves(model, latent_layer_num=number, freeze_below_layer="lat_features.0.conv")

    assert built.cut.latent_shape((1, 8, 8)) == shape
    assert len(model.lat_features) == number + 1
    assert len(model.end_features) == 27 - number
    assert built.head is model.output


def test_other_models_are_cut_before_their_head_unless_a_layer_is_named():
    assert halves(mlp()).cut.latent_shape((1, 8, 8)) == (5,)
    assert halves(mlp(hidden=[])).cut.latent_shape((1, 8, 8)) == (64,)
    assert halves(cnn()).cut.latent_shape((1, 8, 8)) == (6,)
    assert halves(mlp(), latent_layer="features.relu0").cut.latent_shape((1, 8, 8)) == (6,)
    assert halves(mobilenet(), latent_layer="lat_features.19.activ").head_name == "output"


@pytest.mark.parametrize("make", [mobilenet, mlp])
def test_after_the_first_experience_only_the_upper_part_learns(make):
    built = halves(make())
    upper = {id(p) for p in built.cut.upper.parameters()}

    built.enter(0)
    in_first = names(built.model, trainable=False)
    built.enter(1)

    assert in_first == []
    assert {id(p) for p in built.model.parameters() if p.requires_grad} == upper
    assert built.frozen(1)
    assert not built.frozen(0)


def test_a_named_parameter_is_frozen_with_all_before_it():
    built = halves(mobilenet(), freeze_from=0)

    built.enter(0)

    frozen = names(built.model, trainable=False)
    assert len(frozen) == 60
    assert frozen[-1] == "lat_features.19.bn.beta"
    assert built.frozen(0)


@pytest.mark.parametrize("number", [11, 19])
def test_null_freezes_all_of_the_lower_part_wherever_the_cut_is(number):
    built = halves(mobilenet(), latent_layer_num=number, freeze_from=0, freeze_below_layer=None)

    built.enter(0)

    frozen = names(built.model, trainable=False)
    assert frozen == [name for name, _ in built.model.named_parameters() if "lat_" in name]
    assert built.frozen(0)


def test_a_named_layer_is_the_first_that_goes_on_learning():
    built = halves(mobilenet(), freeze_from=0, freeze_below_layer="lat_features.19.bn")

    built.enter(0)

    frozen = names(built.model, trainable=False)
    assert len([name for name in frozen if name.endswith("conv.weight")]) == 20
    assert "lat_features.19.bn.gamma" not in frozen
    assert not built.frozen(0)


@pytest.mark.parametrize("freeze_from", [0, 1])
@pytest.mark.parametrize("name", ["lat_features.10.bn", "lat_features.10.conv.weight"])
def test_what_is_named_is_frozen_from_then_on_and_what_lies_above_it_goes_on_learning(
    freeze_from, name
):
    built = halves(mobilenet(), freeze_from=freeze_from, freeze_below_layer=name)
    frozen, at = [], []

    for experience in (0, 1, 2):
        built.enter(experience)
        frozen.append(names(built.model, trainable=False))
        at.append(built.frozen(experience))

    everything = [path for path, _ in built.model.named_parameters()]
    expected = everything[: everything.index("lat_features.10.bn.gamma")]
    assert frozen == [[] if freeze_from else expected, expected, expected]
    assert not any(at)  # of the lower part, some goes on learning
    assert not any(m.training for m in built.cut.lower.modules() if not list(m.children()))


def test_layers_above_the_cut_can_be_frozen_too_and_keep_their_statistics():
    built = halves(mobilenet(), freeze_below_layer="end_features.2.bn.beta")

    built.enter(0)
    first = names(built.model, trainable=False), built.model.end_features[2].bn.training
    built.enter(1)

    everything = [path for path, _ in built.model.named_parameters()]
    assert first == ([], True)
    last = everything.index("end_features.2.bn.beta")
    assert names(built.model, trainable=False) == everything[: last + 1]
    assert [layer.bn.training for layer in built.model.end_features[1:4]] == [False, False, True]
    assert built.frozen(1)


def test_finding_what_to_freeze_changes_no_mode():
    model = mobilenet()

    halves(model, freeze_below_layer="end_features.2.bn.beta")

    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("norm", ["brn", "bn"])
def test_a_scale_has_one_name_with_either_normalisation(norm):
    built = halves(mobilenet(), norm=norm, freeze_from=0)

    built.enter(0)

    assert len(names(built.model, trainable=False)) == 60


def test_normalisation_becomes_batch_renorm_unless_told_otherwise():
    renormalised, plain = halves(mobilenet()), halves(mobilenet(), norm="bn")

    found = [m for m in renormalised.model.modules() if isinstance(m, BatchRenorm2D)]

    assert len(found) == 27
    assert [float(m.momentum) for m in found] == [pytest.approx(0.01)] * 27
    assert not any(isinstance(m, BatchRenorm2D) for m in plain.model.modules())


def test_batch_renorm_is_slow_and_wide_after_the_first_experience():
    built = halves(mobilenet())
    layer = built.model.end_features[0].bn

    built.slow_statistics()
    built.enter(1)
    built.cut.upper(torch.randn(2, 512, 2, 2))

    assert float(layer.momentum) == pytest.approx(5e-5)
    assert (float(layer.r_max), float(layer.d_max)) == (1.25, 0.5)


def test_statistics_below_the_cut_never_move():
    built = halves(mobilenet())
    built.enter(0)
    lower = {n: b.clone() for n, b in built.cut.lower.named_buffers()}
    upper = {n: b.clone() for n, b in built.cut.upper.named_buffers()}

    built.cut.upper(built.cut.lower(images(side=32)))

    assert all(torch.equal(b, lower[n]) for n, b in built.cut.lower.named_buffers())
    assert not all(torch.equal(b, upper[n]) for n, b in built.cut.upper.named_buffers())


@pytest.mark.parametrize(
    ("make", "changes", "told"),
    [
        (mobilenet, {"freeze_below_layer": "lat_features.19.bm.beta"}, "freeze_below_layer=lat_f"),
        (mobilenet, {"freeze_below_layer": "lat_features.99.bn"}, "freeze_below_layer=lat_f"),
        (mobilenet, {"latent_layer_num": 11}, "freeze_below_layer=.*above the latent layer.* 11 "),
        (mobilenet, {"freeze_below_layer": "output.weight"}, "freeze_below_layer=.*the head"),
        (mobilenet, {"latent_layer": "lat_features.91"}, "latent_layer=.*no such layer"),
        (lambda: mobilenet(5), {}, "latent_layer_num=19: model.latent_layer_num=5"),
        (mlp, {"latent_layer_num": 3}, "latent_layer_num=3: only mobilenet_v1.*latent_layer=NAME"),
        (mlp, {"latent_layer": "features.relu9"}, "latent_layer=.*features.relu1"),
        (mlp, {"freeze_below_layer": "features.linear9"}, "freeze_below_layer=features.linear9"),
        (mlp, {"latent_layer": "output"}, "latent_layer=output: leaves nothing above"),
        (resnet, {"latent_layer": "layer4.1.conv1"}, "latent_layer=.*pass beside"),
    ],
)
def test_a_layer_that_cannot_be_meant_is_one_line(make, changes, told):
    with pytest.raises(ConfigError, match=rf"^strategy\.{told}") as error:
        halves(make(), **changes)

    assert len(error.value.problems) == 1
    assert "\n" not in str(error.value)
