"""A configuration goes through a run's record and comes back the same, checked again."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import clrun
from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError


def through_json(config: RunConfig) -> Any:
    return json.loads(json.dumps(config.plain(), allow_nan=False))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("strategy=ar1", "seed=3", "run_name=mine", "checkpoint.every_steps=7"),
        ("strategy=naive", "strategy.plugins=[{name: si, ewc_lambda: 1}]"),
        ("benchmark=core50_nicv2_391", "strategy=replay", "strategy.balance=none"),
        ("storage_policy=class_balanced", "selection=herding", "model=cnn"),
    ],
    ids=lambda words: " ".join(words[:1]) or "default",
)
def test_a_configuration_comes_back_as_it_was(words: tuple[str, ...]) -> None:
    config = clrun.compose(list(words))

    again = RunConfig.of_plain(through_json(config))

    assert again == config
    assert (again.hash(), again.label(), again.command()) == (
        *(config.hash(), config.label(), config.command()),
    )


def test_when_states_are_saved_is_no_part_of_what_is_computed() -> None:
    often = clrun.compose(["checkpoint.every_steps=1", "checkpoint.every_seconds=null"])

    assert often.hash() == clrun.compose([]).hash()
    assert (often.checkpoint.every_steps, often.checkpoint.every_seconds) == (1, None)


def test_what_came_from_python_comes_back_as_a_name_for_it() -> None:
    from clrun.runner.own import with_own
    from clrun.streams.experience import Benchmark

    x, y = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    config = with_own(clrun.compose([]), Benchmark.of_arrays([(x, y)], [(x, y)]), None)

    again = RunConfig.of_plain(through_json(config))

    assert again.plain() == config.plain()
    assert again.nodes["benchmark"].is_own


@cache
def default() -> Any:
    return through_json(clrun.compose(["strategy.plugins=[{name: si, ewc_lambda: 1}]"]))


def edited(**changes: Any) -> Any:
    """The default's record, with what is at each place (`a__b`) replaced."""
    plain = deepcopy(default())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = plain
        for key in parents:
            place = place[int(key) if isinstance(place, list) else key]
        place[last] = value
    return plain


@pytest.mark.parametrize(
    ("plain", "line"),
    [
        (None, "config: config=null: this is no configuration of a run."),
        ([], "config: config=[]: this is no configuration"),
        ({}, "config: where=null: this is no"),
        (edited(overrides="seed=3"), "config: overrides=seed=3: this is no"),
        (edited(root__seed=-1), "config: seed=-1: must be at least 0."),
        (edited(root={}), "config: : seed, run_name"),
        (edited(checkpoint=None), "config: checkpoint=null: has keys"),
        (edited(checkpoint__keep=0), "config: checkpoint.keep=0: must be at least 1."),
        (edited(nodes__model=3), "config: model=3: this is no"),
        (
            edited(nodes__strategy__target=["os:system"]),
            "config: strategy.target=[os:system]: this",
        ),
        (
            edited(nodes__strategy__target="os:system"),
            "config: strategy.target=os:system: os is code of neither clrun nor an installed",
        ),
        (edited(nodes__strategy__values__lr="fast"), "config: strategy.lr=fast: must be a number."),
        (edited(nodes__strategy__values__lrr=1), "config: strategy.lrr=1: there is no such key."),
        (edited(nodes__strategy__own=True, nodes__strategy__target="os:system"), "os is code of"),
        (
            edited(plugins__0__target="nowhere.x:Y"),
            "target=nowhere.x:Y: nowhere.x is code of neither",
        ),
        (edited(plugins__0__values__ewc_lambda=-1), "config: strategy.plugins[0].ewc_lambda=-1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_edited_or_hostile_record_is_refused_by_the_key(plain: Any, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        RunConfig.of_plain(plain)

    assert any(line in problem for problem in refused.value.problems), refused.value.problems


def test_a_saved_run_keeps_the_names_of_its_options_and_their_rules(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from clrun.cli.main import main

    quick = ("strategy.train_epochs=1", "device=cpu", "device.threads=1")
    saved = ("--config-path", "run/.hydra", "--config-name", "config")
    assert main([*quick, "storage_policy=class_balanced", "hydra.run.dir=run"]) == 0
    assert main([*saved, "hydra.run.dir=again"]) == 0

    first, again = (
        json.loads((workplace / name / "run.json").read_text()) for name in ("run", "again")
    )
    assert again["label"] == first["label"] == "replay-digits-s0"
    assert again["config_hash"] == first["config_hash"]
    assert again["config"]["nodes"] == first["config"]["nodes"]

    text = (workplace / "run" / ".hydra" / "config.yaml").read_text()
    policy = yaml.safe_load(text)["storage_policy"]
    other = clrun.compose(["storage_policy=reservoir"]).nodes["storage_policy"]
    ranked = text.replace("RandomExemplarsSelectionStrategy", "HerdingSelectionStrategy")
    herding = "option: herding\n  layer_name: null\n  normalize: false\n  model: current"
    tree = yaml.safe_load(ranked.replace("option: random", herding))
    tree["storage_policy"] = {"target": other.target, "option": "reservoir"}
    (workplace / "run" / ".hydra" / "config.yaml").write_text(yaml.safe_dump(tree))
    capsys.readouterr()

    assert policy["option"] == "class_balanced"
    assert main([*saved, "hydra.run.dir=third"]) == 2
    assert "selection=herding: storage_policy=reservoir does not ask" in capsys.readouterr().err


def test_an_option_name_can_be_given_to_a_saved_run_alone(
    capsys: pytest.CaptureFixture[str], workplace: Path
) -> None:
    from clrun.cli.main import main

    assert main(["+strategy.option=other"]) == 2

    assert "strategy.option=other: there is no such key" in capsys.readouterr().err
