from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from clrun.errors import ConfigError
from clrun.models.copies import copy_of
from clrun.models.cut import cut
from clrun.models.features import head_inputs
from clrun.strategies.nearest_means import (
    NEVER,
    NearestMeans,
    class_means,
    nearness,
    require_head_is_last,
    without_head,
)
from clrun.streams.experience import StreamShape
from oracles import class_means as oracle

SHAPE = StreamShape(channels=1, height=4, width=4, num_classes=6, num_experiences=3)


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([4, 1, 4, 1, 1, 0, 4, 0, 1, 4])


def test_means_are_those_written_out():
    features = rows(10) * torch.linspace(0.1, 30, 10)[:, None]  # rows of any length count alike

    found = class_means(features, LABELS, 6)

    expected = oracle.class_means(features.tolist(), LABELS.tolist())
    assert found.seen.tolist() == [k in expected for k in range(6)]
    for k, mean in expected.items():
        assert_close(found.means[k].tolist(), mean, rtol=0, atol=1e-7)
    assert not found.means[~found.seen].any()


def test_the_largest_logit_is_the_class_with_the_nearest_mean():
    features, asked = rows(10), rows(200, seed=1)
    means = oracle.class_means(features.tolist(), LABELS.tolist())

    logits = nearness(asked, class_means(features, LABELS, 6))

    assert logits.argmax(1).tolist() == [oracle.nearest(row, means) for row in asked.tolist()]
    distance = math.dist(oracle.unit(asked[0].tolist()), means[4])
    assert float(logits[0, 4]) == pytest.approx(-(distance**2), abs=1e-5)


def test_a_class_without_a_row_is_the_last_one_named_even_by_its_opposite():
    features = rows(4)

    logits = nearness(-features, class_means(features, torch.tensor([2, 2, 3, 3]), 6))

    assert (logits[:, [0, 1, 4, 5]] == NEVER).all()
    assert (logits[:, [2, 3]] > NEVER).all()


def test_features_and_means_without_a_direction_give_numbers():
    features = torch.stack([rows(1)[0], -rows(1)[0], torch.zeros(8)])

    found = class_means(features, torch.tensor([0, 0, 1]), 6)

    assert nearness(features, found).isfinite().all()


def test_sixteen_bits_make_no_ties():
    features = rows(1).expand(2, -1) + torch.eye(2, 8) * 1e-2
    found = class_means(features, torch.tensor([0, 1]), 6)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = nearness(features, found)

    assert logits.dtype == torch.float32
    assert logits.argmax(1).tolist() == [0, 1]


class Twice(nn.Module):
    """Does something to what its last linear layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh())
        self.output = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.body(x)) * 2


def test_a_model_that_goes_on_after_its_head_is_refused_in_a_line(parts_of):
    require_head_is_last(parts_of().model, SHAPE)

    with pytest.raises(ConfigError, match=r"^model=Twice: does more than .* \(output\).*ends in"):
        require_head_is_last(Twice(), SHAPE)


def test_the_predictor_is_the_model_without_its_head_and_the_means(parts_of):
    model, x = parts_of().model, torch.rand(9, 1, 4, 4)
    features = head_inputs(model, x)
    found = class_means(features, torch.arange(9) % 3, 6)

    predictor = NearestMeans(without_head(model), found)

    assert torch.equal(predictor(x), nearness(features, found))
    assert {name for name in predictor.state_dict() if "output" in name} == set()
    assert {"means", "seen"} <= set(predictor.state_dict())


class Switching(nn.Module):
    """Computes something else in training, so that a part of it has two forms."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.relu = nn.Linear(16, 8), nn.ReLU()
        self.output = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        features = self.relu(self.body(x.flatten(1)))
        return self.output(features * 2 if self.training else features)


@pytest.mark.parametrize("layer", ["body", "relu"])
def test_the_head_of_a_part_with_a_form_for_each_mode_is_exchanged_in_both(layer):
    model, x = Switching(), torch.rand(3, 1, 4, 4)
    both = cut(model, layer)
    latents = both.lower(x)
    features = {mode: head_inputs(both.upper.train(mode), latents) for mode in (False, True)}
    require_head_is_last(both.upper, SHAPE)  # whose shape is not that of a latent

    headless = without_head(copy_of(both.upper))

    for mode in (False, True):
        assert torch.equal(headless.train(mode)(latents), features[mode])
    assert not torch.equal(features[True], features[False])
