"""Every YAML file: its keys are its dataclass's fields, each commented, and it composes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from clrun.config.compose import compose
from clrun.config.schema import component_class, config_class
from clrun.config.sources import GROUPS, PLUGINS, RECIPES, conf_root

OPTIONS = [
    pytest.param(path, id=f"{group}={path.stem}")
    for group in (*GROUPS, PLUGINS)
    for path in sorted((conf_root() / group).glob("*.yaml"))
]
CHOICES = [
    f"{group}={path.stem}"
    for group in (*GROUPS, RECIPES)
    for path in sorted((conf_root() / group).glob("*.yaml"))
]


@pytest.mark.parametrize("path", OPTIONS)
def test_keys_are_the_fields_of_its_config(path: Path) -> None:
    keys = yaml.safe_load(path.read_text())

    target = keys.pop("target")
    keys.pop("defaults", None)  # other options that this one chooses

    assert sorted(keys) == sorted(config_class(target).__dataclass_fields__)


@pytest.mark.parametrize("path", OPTIONS)
def test_the_config_read_without_torch_is_the_real_one(path: Path) -> None:
    target = yaml.safe_load(path.read_text())["target"]

    read, real = config_class(target), component_class(target).Config

    assert {f: str(v.type) for f, v in read.__dataclass_fields__.items()} == {
        f: str(v.type) for f, v in real.__dataclass_fields__.items()
    }
    assert hasattr(read, "__post_init__") == hasattr(real, "__post_init__")


@pytest.mark.parametrize("path", [*OPTIONS, pytest.param(conf_root() / "config.yaml", id="root")])
def test_every_key_is_commented(path: Path) -> None:
    lines = path.read_text().splitlines()
    in_hydra = False

    assert lines[0].startswith("# ")
    for line in lines:
        in_hydra = line.startswith(("hydra:", "defaults:")) or (in_hydra and line.startswith(" "))
        if re.match(r"\w+:", line) and not in_hydra and not line.startswith("target:"):
            assert re.search(r"\s# \S", line), f"{path.name}: {line}"


@pytest.mark.parametrize("choice", CHOICES)
def test_every_option_composes(choice: str) -> None:
    words = [choice]
    if choice.endswith("=reservoir"):
        words.append("selection=random")
    if choice in ("selection=herding", "selection=closest_to_center"):
        words.append("storage_policy=class_balanced")

    config = compose(words)

    assert config.nodes.keys() == set(GROUPS)
