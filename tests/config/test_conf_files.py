"""Every YAML file: its keys are its dataclass's fields, each commented, and it composes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from clrun.cli.main import main
from clrun.config.compose import compose
from clrun.config.nodes import part_schemas
from clrun.config.option_file import read_option
from clrun.config.schema import component_class, config_class
from clrun.config.sources import GROUPS, OF_A_RUN, PLUGINS, RECIPES, conf_root, options

LISTED = [
    (group, option.name) for group in (*GROUPS, PLUGINS, RECIPES) for option in options(group)
]
COMPONENTS = [
    pytest.param(group, name, id=f"{group}={name}") for group, name in LISTED if group != RECIPES
]
CHOICES = [f"{group}={name}" for group, name in LISTED if group != PLUGINS]
FILES = sorted(
    path for group in (*GROUPS, PLUGINS) for path in (conf_root() / group).glob("*.yaml")
)
LINES = [
    pytest.param(path, id=path.relative_to(conf_root()).as_posix())
    for path in [*FILES, conf_root() / "config.yaml"]
]


@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_keys_are_the_fields_of_its_config(group: str, name: str) -> None:
    option = read_option(group, name)

    assert option.target is not None
    schema = config_class(option.target)
    values = {key.path: key.value for key in option.keys.values()}
    schemas = (schema, *part_schemas(schema, values))
    assert set(option.keys) == {field.name for some in schemas for field in fields(some)}


@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_the_config_read_without_torch_is_the_real_one(group: str, name: str) -> None:
    target = read_option(group, name).target
    assert target is not None

    read, real = config_class(target), component_class(target).Config

    assert {f: str(v.type) for f, v in read.__dataclass_fields__.items()} == {
        f: str(v.type) for f, v in real.__dataclass_fields__.items()
    }
    assert hasattr(read, "__post_init__") == hasattr(real, "__post_init__")


@pytest.mark.parametrize(("group", "name"), COMPONENTS)
def test_every_key_is_explained(group: str, name: str) -> None:
    keys = read_option(group, name).keys.values()

    assert not [key.path for key in keys if not key.comment]


@pytest.mark.parametrize("path", LINES)
def test_what_a_file_says_first_is_explained_there(path: Path) -> None:
    lines = path.read_text().splitlines()
    has_base = "  - _self_" in lines and path.stem != "config"
    in_hydra = False

    assert lines[0].startswith("# ")
    for line in lines:
        in_hydra = line.startswith(("hydra:", "defaults:")) or (in_hydra and line.startswith(" "))
        if re.match(r"\w+:", line) and not in_hydra and not line.startswith("target:"):
            assert has_base or re.search(r"\s# \S", line), f"{path.name}: {line}"


@pytest.mark.parametrize("path", [path for path in FILES if path.stem.startswith("_")])
def test_what_options_are_based_on_is_no_option(path: Path, capsys, monkeypatch) -> None:
    group = path.parent.name
    monkeypatch.setenv("COMP_LINE", f"clrun {group}=")

    assert main(["-sc", "query=bash"]) == 0

    offered = capsys.readouterr().out.split()
    assert sorted(offered) == [f"{group}={option.name}" for option in options(group)]
    assert main(["--help"]) == 0
    assert path.stem not in re.findall(r"\w+", capsys.readouterr().out)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_option_composes(choice: str) -> None:
    words = [choice]
    if choice.endswith("=reservoir"):
        words.append("selection=random")
    if choice in ("selection=herding", "selection=closest_to_center"):
        words.append("storage_policy=class_balanced")

    config = compose(words)

    assert config.nodes.keys() == set(OF_A_RUN)
