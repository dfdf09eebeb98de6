"""Recipes on other options than those they are written for."""

from __future__ import annotations

import pytest

import clrun
from clrun.errors import ConfigError


def test_what_a_recipe_says_of_its_model_goes_with_that_model():
    config = clrun.compose(["experiment=er_split_fashion_mnist", "model=cnn"])

    assert config.nodes["model"].values == clrun.compose(["model=cnn"]).nodes["model"].values
    assert config.nodes["strategy"].values["mem_size"] == 500
    [note] = config.notes
    assert note == (
        "experiment=er_split_fashion_mnist is written for model=mlp: model.hidden=[100,100], "
        "model.init=xavier go with it, and model=cnn has its own."
    )


def test_keys_that_the_chosen_option_has_are_the_recipes():
    config = clrun.compose(["experiment=er_split_fashion_mnist", "strategy=naive"])

    assert config.nodes["strategy"].values["lr"] == 0.1
    assert config.nodes["strategy"].values["train_mb_size"] == 10
    assert "strategy.mem_size=500" in config.notes[0]
    assert "strategy.lr" not in config.notes[0]


def test_values_that_the_chosen_option_refuses_are_its_own():
    config = clrun.compose(["experiment=ar1_fashion_mobilenet_v2", "model=mlp"])

    assert config.nodes["model"].values["pretrained"] is False
    assert "model.pretrained=true" in config.notes[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=cnn", "model.hidden=[5]"], "model.hidden=[5]: there is no such key"),
        (["model=mlp", "model.pretrained=true"], "model.pretrained=true: there are no published"),
    ],
)
def test_what_was_typed_is_complained_of_all_the_same(words, said):
    with pytest.raises(ConfigError) as raised:
        clrun.compose(["experiment=er_split_fashion_mnist", *words])

    assert any(line.startswith(said) for line in raised.value.problems)
    assert not any("xavier" in line for line in raised.value.problems)


def test_a_recipe_as_it_is_has_no_note():
    assert clrun.compose(["experiment=er_split_fashion_mnist"]).notes == ()
    assert clrun.compose(["model=cnn"]).notes == ()
