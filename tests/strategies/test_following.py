"""The note on BatchReNorm's statistics that cannot follow the first experience."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import clrun
from clrun.models.batch_renorm import BatchRenorm2D
from clrun.runner.prepare import all_notes, prepare
from clrun.strategies.following import advised_rate, has_fresh_statistics, left_of_the_first

WORDS = (
    *("strategy=ar1", "device=cpu", "benchmark.limit_per_class=16", "model=cnn"),
    *("model.channels=[4,4]", "model.norm=batch", "strategy.latent_layer=features.pool0"),
    *("strategy.train_mb_size=16",),
)


def notes(*words: str, model: nn.Module | None = None) -> list[str]:
    prepared = prepare(clrun.compose([*WORDS, *words]), own_model=model)
    return [note for note in all_notes(prepared) if "init_update_rate" in note]


def test_a_network_from_scratch_has_a_note_with_the_rate_that_would_do():
    (note,) = notes()

    assert note.startswith("strategy.init_update_rate=0.01: after the 8 updates of the first")
    assert "still 92% those" in note
    assert "Use at least 0.32, or pretrained weights." in note


@pytest.mark.parametrize(
    "words",
    [
        ("strategy.init_update_rate=0.32",),
        ("strategy.norm=bn",),
        ("strategy.latent_layer=features.relu1",),  # what is normalised lies below, and evaluates
        ("model.norm=none",),
    ],
    ids=lambda words: words[0],
)
def test_no_statistics_have_to_follow(words):
    assert notes(*words) == []


def test_statistics_that_were_learnt_before_have_no_note():
    config = clrun.compose([*WORDS])
    model = prepare(config).model
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.fill_(0.3)

    assert notes(model=model) == []


@pytest.mark.parametrize("updates", [1, 3, 8, 100, 1000])
def test_the_rate_that_is_advised_leaves_a_twentieth_at_most(updates):
    rate = advised_rate(updates)

    assert 0 < rate <= 1
    assert left_of_the_first(rate, updates) <= 0.05 + 1e-12
    assert left_of_the_first(rate - 0.01, updates) > 0.05


def test_statistics_are_fresh_until_a_minibatch_has_moved_them():
    layer = BatchRenorm2D(3)
    assert has_fresh_statistics([nn.ReLU(), layer])

    layer.train()(torch.rand(4, 3, 2, 2))

    assert not has_fresh_statistics([nn.ReLU(), layer])
