from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clrun
from clrun.config.compose import compose
from clrun.config.sources import conf_root
from clrun.errors import ConfigError


def test_a_composed_config_knows_its_options_and_values() -> None:
    config = compose(["strategy=naive", "seed=3", "model.hidden=[7]"])

    assert config.seed == 3
    assert config.nodes["strategy"].option == "naive"
    assert config.nodes["model"].config.hidden == [7]
    assert config.overrides == ("strategy=naive", "seed=3", "model.hidden=[7]")


def test_the_hash_names_what_is_computed_not_where_it_goes() -> None:
    plain = compose([]).hash()

    assert compose(["output_root=elsewhere", "run_name=x"]).hash() == plain
    assert compose(["seed=1"]).hash() != plain
    assert compose(["strategy.lr=0.2"]).hash() != plain
    assert compose(["strategy.plugins=[{name: si, ewc_lambda: 1}]"]).hash() != plain


def test_a_plugins_missing_keys_come_from_its_yaml() -> None:
    [plugin] = compose(["strategy.plugins=[{name: si, ewc_lambda: 2}]"]).plugins

    assert plugin.config.ewc_lambda == 2
    assert plugin.config.clip == 0.001


def test_a_plugins_yaml_decides_what_is_left_out(tmp_path: Path) -> None:
    shipped = (conf_root() / "plugin" / "si.yaml").read_text()
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "si.yaml").write_text(shipped.replace("clip: 0.001", "clip: 0.002"))
    words = ["strategy.plugins=[{name: si, ewc_lambda: 2}]"]

    [plugin] = compose(words, config_dirs=[tmp_path]).plugins

    assert plugin.config.clip == 0.002
    assert compose(words, config_dirs=[tmp_path]).hash() != compose(words).hash()


def test_spelling_out_a_default_is_the_same_experiment() -> None:
    short = compose(["strategy.plugins=[{name: si, ewc_lambda: 2}]"])
    long = compose(["strategy.plugins=[{name: si, ewc_lambda: 2, clip: 0.001}]"])

    assert short.hash() == long.hash()


def test_composing_twice_or_inside_one_another_leaves_hydra_as_it_was() -> None:
    from hydra.core.global_hydra import GlobalHydra

    compose([])
    compose([])

    assert not GlobalHydra.instance().is_initialized()


def test_an_interpolation_reads_another_key() -> None:
    config = compose(["strategy.eval_mb_size=${strategy.mem_size}", "strategy.mem_size=123"])

    assert config.nodes["strategy"].config.eval_mb_size == 123


def test_the_configuration_cannot_be_changed_afterwards() -> None:
    config = clrun.compose([])

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.root.seed = 4  # type: ignore[misc]


@settings(max_examples=15, deadline=None)
@given(st.dictionaries(st.sampled_from(["lr", "l2", "momentum"]), st.floats(-2, 2), min_size=1))
def test_bounds_hold_whatever_the_numbers(values: dict[str, float]) -> None:
    allowed = {"lr": lambda v: v > 0, "l2": lambda v: v >= 0, "momentum": lambda v: 0 <= v < 1}
    bad = [key for key, value in values.items() if not allowed[key](value)]
    words = [f"strategy.{key}={value!r}" for key, value in values.items()]

    if bad:
        with pytest.raises(ConfigError) as caught:
            compose(words)
        assert len(caught.value.problems) == len(bad)
    else:
        compose(words)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("strategy=naive", 'compose: overrides are a list: compose(["strategy=naive"]).'),
        ({"seed": 3}, "compose: overrides are a list of words: compose(['seed=3'])."),
        ([("seed", 3)], "compose: ('seed', 3) is no text. Write e.g. \"strategy=naive\"."),
    ],
)
def test_what_is_no_list_of_words_is_refused(overrides, line):
    with pytest.raises(ConfigError) as refused:
        clrun.compose(overrides)

    assert str(refused.value) == line
