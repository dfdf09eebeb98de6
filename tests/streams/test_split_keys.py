from typing import get_args

import pytest

import clrun
from clrun.errors import ConfigError
from clrun.streams.split_keys import ALL_CLASSES, KEYS_OF, NEEDED, Scenario, SplitKeys


def test_every_key_of_a_scenario_is_a_key_and_every_scenario_with_keys_exists():
    keys = {key for keys in KEYS_OF.values() for key in keys}

    assert keys <= set(SplitKeys.__dataclass_fields__)
    assert set(NEEDED) <= keys
    assert {*KEYS_OF, *ALL_CLASSES} <= set(get_args(Scenario))


@pytest.mark.parametrize("scenario", NEEDED)
def test_what_a_message_offers_for_a_missing_key_is_accepted(scenario):
    (name,) = [name for name, keys in KEYS_OF.items() if scenario in keys]

    config = clrun.compose(
        ["strategy=naive", f"benchmark.scenario={name}", f"benchmark.{scenario}={NEEDED[scenario]}"]
    )

    assert config.nodes["benchmark"].config.scenario == name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["benchmark.blur=0.1"],
            "benchmark.blur=0.1: only scenario=blurry reads it. Use blur=null, or scenario=blurry.",
        ),
        (
            ["benchmark.scenario=blurry"],
            "benchmark.blur=null: scenario=blurry needs it. Use e.g. blur=0.1.",
        ),
        (
            ["benchmark.scenario=blury"],
            "benchmark.scenario=blury: must be one of nc, ni, nic, online, blurry, long_tailed, "
            "repetition, permuted, rotated. Did you mean 'blurry'?",
        ),
        (
            ["benchmark.scenario=online", "benchmark.rows_per_experience=10"],
            "strategy.balance=experience: with benchmark.scenario=online experiences are too many "
            "to share a minibatch. Use strategy.balance=none, or strategy.memory_update=minibatch.",
        ),
    ],
)
def test_a_command_line_that_cannot_be_meant_gets_one_line(overrides, message):
    with pytest.raises(ConfigError) as refusal:
        clrun.compose(["strategy=replay", *overrides])

    assert refusal.value.problems == [message]


@pytest.mark.parametrize("way_out", ["strategy.balance=none", "strategy.memory_update=minibatch"])
def test_the_ways_out_for_an_online_stream_are_accepted(way_out):
    online = ["benchmark.scenario=online", "benchmark.rows_per_experience=10"]

    clrun.compose(["strategy=replay", *online, way_out, "storage_policy=reservoir"])
