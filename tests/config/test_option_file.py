from __future__ import annotations

import pytest

from clrun.config.compose import compose_tree
from clrun.config.option_file import read_option, read_primary
from clrun.config.sources import GROUPS, options
from clrun.errors import ConfigError


@pytest.fixture
def option(tmp_path):
    """Reads the option `mine` of the group `model` with this YAML, and other files beside it."""

    def read(text: str, **others: str):
        (tmp_path / "model").mkdir()
        for name, content in {"mine": text, **others}.items():
            (tmp_path / "model" / f"{name}.yaml").write_text(content, encoding="utf-8")
        return read_option("model", "mine", [tmp_path])

    return read


def comments(found) -> dict[str, str]:
    return {path: key.comment for path, key in found.keys.items()}


def test_a_comment_belongs_to_the_key_beside_it_and_may_go_on_below(option):
    found = option(
        "# Mine.\n"
        "a: 1  # one\n"
        "b: '#no comment'  # two\n"
        "c: [1, 2]    # three,\n"
        "             # and more of it\n"
        "# not of a key\n"
        "d:\n"
        "  e: null  # nested\n"
        "  f: x#y\n"
        "g: {}  # last\n"
    )

    assert comments(found) == {
        "a": "one",
        "b": "two",
        "c": "three, and more of it",
        "d.e": "nested",
        "d.f": "",
        "g": "last",
    }
    assert [key.value for key in found.keys.values()] == [1, "#no comment", [1, 2], None, "x#y", {}]


def test_the_header_is_the_comment_at_the_top_without_directives(option):
    found = option("# @package _global_\n# Mine.\n#\n#   a command\na: 1\n# later\nb: 2\n")

    assert found.header == "Mine.\n\n  a command"


def test_other_groups_it_chooses_are_choices_and_no_keys(option):
    found = option(
        "defaults:\n  - override /model@_global_.model: cnn\n  - /selection: herding\n"
        "  - _self_\ntarget: a.b:C\na: 1\n"
    )

    assert found.choices == {"model": "cnn", "selection": "herding"}
    assert found.target == "a.b:C"
    assert list(found.keys) == ["a"]


def test_a_base_of_a_base_is_read_too_and_the_nearest_value_holds(option):
    found = option(
        "# Mine.\ndefaults: [_near, _self_]\nc: 3\n",
        _near="# Near.\ndefaults: [/model/_far@_here_, _self_]\nb: 2  # of near\nc: 2\n",
        _far="# Far.\ntarget: a.b:C\na: 1  # of far\nc: 1  # of far\n",
    )

    assert {k.path: (k.value, k.comment, k.section) for k in found.keys.values()} == {
        "a": (1, "of far", "Shared keys (model/_far.yaml). Far."),
        "c": (3, "of far", "Shared keys (model/_far.yaml). Far."),
        "b": (2, "of near", "Shared keys (model/_near.yaml). Near."),
    }
    assert found.target == "a.b:C"


def test_a_base_that_is_not_there_is_an_error_that_names_it(option):
    with pytest.raises(ConfigError, match=r"model/_gone\.yaml: no configuration folder"):
        option("defaults: [_gone, _self_]\na: 1\n")


def test_the_primary_configuration_has_a_choice_for_each_group():
    primary = read_primary()

    assert set(GROUPS) <= set(primary.choices)
    assert primary.keys["seed"].comment


@pytest.mark.parametrize(
    ("group", "name"), [(group, option.name) for group in GROUPS for option in options(group)]
)
def test_the_values_are_those_that_hydra_composes(group, name):
    composed = compose_tree([f"{group}={name}"])[group]

    read = read_option(group, name)

    assert {key: read.keys[key].value for key in read.keys} == {
        key: value for key, value in composed.items() if key != "target"
    }
