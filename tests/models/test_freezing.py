from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from clrun.errors import ConfigError
from clrun.models.batch_renorm import replace_bn_with_brn
from clrun.models.freezing import freeze_below
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.seeds import isolated


def mobilenet(*, norm: str = "brn") -> nn.Module:
    with isolated(0, "weights"):
        model = MobilenetV1(5, latent_layer_num=19)
    return (replace_bn_with_brn(model) if norm == "brn" else model).train()


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU()),
        nn.BatchNorm2d(2, affine=False),
        nn.Conv2d(2, 2, 1),
        nn.BatchNorm2d(2, affine=False),
    ).train()


def trainable(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def sleeping(model: nn.Module) -> list[str]:
    """Layers in evaluation mode."""
    return [name for name, module in model.named_modules() if not module.training]


def test_below_the_layer_s_name_exactly_the_twenty_convolutions_are_frozen():
    model = mobilenet()

    frozen = freeze_below(model, "lat_features.19.bn", inclusive=False, keep_norm=True)

    assert frozen == [f"lat_features.{i}.conv.weight" for i in range(20)]
    assert len(trainable(model)) == 62
    assert trainable(model)[-1] == "output.weight"
    assert sleeping(model) == []


def test_up_to_the_parameter_s_name_all_sixty_tensors_are_frozen():
    model = mobilenet()

    frozen = freeze_below(model, "lat_features.19.bn.beta", inclusive=True, keep_norm=False)

    assert frozen == [name for name, _ in model.lat_features.named_parameters("lat_features")]
    assert len(frozen) == 60
    assert trainable(model) == [n for n, _ in model.named_parameters() if n not in frozen]
    assert sleeping(model) == [f"lat_features.{i}.bn" for i in range(20)]


@pytest.mark.parametrize(
    ("name", "inclusive", "count", "asleep"),
    [
        ("0.0", False, 0, []),
        ("0.0.weight", True, 1, []),
        ("0.0", True, 2, []),
        ("0.1.weight", False, 2, []),
        ("0.1.weight", True, 3, []),
        ("0.1.bias", True, 4, ["0.1"]),
        ("0.2", False, 4, ["0.1"]),
        ("0", True, 4, ["0.1"]),
        ("1", False, 4, ["0.1"]),
        ("1", True, 4, ["0.1", "1"]),
        ("2.weight", True, 5, ["0.1", "1"]),
        ("2", True, 6, ["0.1", "1"]),
        ("3", True, 6, ["0.1", "1", "3"]),
    ],
)
def test_a_name_says_where_freezing_ends(name, inclusive, count, asleep):
    model = small()
    everything = trainable(model)

    frozen = freeze_below(model, name, inclusive=inclusive, keep_norm=False)

    assert frozen == everything[:count]
    assert trainable(model) == everything[count:]
    assert sleeping(model) == asleep


@pytest.mark.parametrize("norm", ["brn", "bn"])
@pytest.mark.parametrize("last", ["beta", "bias"])
def test_a_shift_is_found_whatever_the_normalisation_calls_it(norm, last):
    model = mobilenet(norm=norm)

    frozen = freeze_below(model, f"lat_features.19.bn.{last}", inclusive=True, keep_norm=False)

    assert len(frozen) == 60


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("lat_features.19.bn.betta", "lat_features.19.bn.beta"),
        ("lat_feature.19.conv", "lat_features.19.conv"),
        ("lat_features.19.conv.gamma", "lat_features.19.bn.gamma"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_and_nothing_is_frozen(name, nearest):
    model = mobilenet()

    with pytest.raises(ConfigError) as refused:
        freeze_below(model, name, inclusive=True, keep_norm=False)

    line = str(refused.value)
    assert line.startswith(f"strategy.freeze_below_layer={name}: MobilenetV1 has no such layer")
    assert f"Did you mean '{nearest}'?" in line
    assert len(trainable(model)) == 82


def test_other_layers_keep_their_modes_and_what_was_frozen_before_stays_frozen():
    model = small()
    model[3].eval()
    model[2].bias.requires_grad_(False)

    freeze_below(model, "0", inclusive=True, keep_norm=False)

    assert trainable(model) == ["2.weight"]
    assert sleeping(model) == ["0.1", "3"]


@pytest.mark.parametrize("optimised", ["trainable", "all"])
def test_what_is_frozen_stays_bit_identical_through_training_with_weight_decay(optimised):
    model = mobilenet()
    frozen = freeze_below(model, "lat_features.19.bn.beta", inclusive=True, keep_norm=False)
    parameters = [p for p in model.parameters() if optimised == "all" or p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1)
    before = deepcopy(model.state_dict())
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(x), torch.arange(4)).backward()
        optimizer.step()

    after = model.state_dict()
    same = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
    lower = {name for name in after if name.startswith("lat_features.")}
    assert set(frozen) < lower  # which holds the statistics too
    assert lower <= same
    assert not same & {name for name, p in model.named_parameters() if p.requires_grad}
