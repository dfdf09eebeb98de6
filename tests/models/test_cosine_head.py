"""A head whose logits are cosines, and what is done with heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import clrun
from clrun.errors import ConfigError
from clrun.models.cosine_head import CosineHead
from clrun.models.cut import cut, cut_before_head
from clrun.models.features import head, head_inputs
from clrun.models.torchvision_model import TorchvisionModel
from clrun.runner.prepare import prepare
from clrun.streams.experience import StreamShape

MODELS = {
    "mlp": (),
    "cnn": ("model.channels=[4,4]",),
    "slim_resnet18": ("model.width=2",),
    "mobilenet_v1": (),
}


def model_of(name: str, *words: str) -> nn.Module:
    chosen = ["benchmark=digits", "device=cpu", f"model={name}", *MODELS[name], *words]
    return prepare(clrun.compose(chosen)).model


def test_a_logit_is_the_scaled_cosine_of_features_and_weights():
    layer = CosineHead(3, 2, 10.0)
    x = torch.tensor([[3.0, 0, 4], [0, 0, 0]])

    logits = layer(x)

    for k, row in enumerate(layer.weight.tolist()):
        length = math.hypot(*row)
        assert float(logits[0, k].detach()) == pytest.approx(
            10 * (3 * row[0] + 4 * row[2]) / 5 / length, rel=1e-5
        )
    assert logits[1].tolist() == [0, 0]


def test_neither_the_length_of_features_nor_that_of_weights_matters():
    layer, x = CosineHead(8, 5, 4.0), torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    before = layer(x)

    with torch.no_grad():
        layer.weight[2:] *= 7

    torch.testing.assert_close(layer(100 * x), before)
    assert before.abs().max() <= 4.0


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_it_where_it_is_asked_for_and_the_usual_one_where_not(name):
    ours, usual = model_of(name, "model.head=cosine", "model.head_scale=5"), model_of(name)

    layer = head(ours)[1]
    assert isinstance(layer, CosineHead)
    assert (layer.scale, layer.bias) == (5, None)
    assert type(head(usual)[1]) is nn.Linear
    others = {n: t for n, t in usual.state_dict().items() if not n.startswith("output")}
    assert all(torch.equal(ours.state_dict()[n], t) for n, t in others.items())


def test_a_network_of_torchvision_has_it_too():
    keys = {"arch": "shufflenet_v2_x0_5", "pretrained": False, "head": "cosine"}
    shape = StreamShape(channels=1, height=32, width=32, num_classes=7, num_experiences=2)
    model = TorchvisionModel(TorchvisionModel.Config(**keys), shape).eval()

    logits = model(torch.rand(2, 1, 32, 32))

    assert isinstance(head(model)[1], CosineHead)
    assert logits.shape == (2, 7)
    assert logits.abs().max() <= 10


def test_a_model_is_cut_below_it():
    model = model_of("mlp", "model.head=cosine", "model.hidden=[6,5]")
    x = torch.rand(3, 1, 8, 8)

    for parts in (cut_before_head(model, key="k"), cut(model, "features.relu0")):
        torch.testing.assert_close(parts.upper(parts.lower(x)), model(x))
    assert head_inputs(model, x).shape == (3, 5)


WITH = ("benchmark=digits", "device=cpu", "model=mlp", "model.hidden=[16]", "model.head=cosine")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("strategy=naive strategy.head_correction=wa", "has neither norms nor a bias"),
        ("strategy=replay strategy.head_correction=bic", "has neither norms nor a bias"),
        ("strategy=ar1 strategy.latent_layer=features.relu0", "consolidates weights as they are"),
        ("strategy=naive model.head_scale=0", "head_scale=0"),
    ],
)
def test_what_would_write_lengths_or_a_bias_into_it_is_refused(words, reason):
    with pytest.raises(ConfigError, match=reason) as error:
        prepare(clrun.compose([*WITH, *words.split()]))

    assert len(str(error.value).splitlines()) == 1
