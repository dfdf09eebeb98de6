import dataclasses
from importlib import import_module

import pytest

from clrun.config.option_file import OptionFile, read_option
from clrun.config.sources import options

OPTIONS = [(g, o.name) for g in ("storage_policy", "selection") for o in options(g)]


@pytest.fixture(params=OPTIONS, ids=lambda option: option[1])
def option(request) -> OptionFile:
    """An option with the keys of the one that it may stand on."""
    return read_option(*request.param)


def test_an_option_has_the_keys_of_its_component_and_builds_it(option):
    values = {path: key.value for path, key in option.keys.items()}
    module, _, name = str(option.target).partition(":")
    component = getattr(import_module(module), name)

    built = component(component.Config(**values))

    assert {*values} == {field.name for field in dataclasses.fields(component.Config)}
    assert hasattr(built, "keep") or hasattr(built, "make_sorted_indices")


def test_an_option_says_what_it_is_and_explains_every_key(option):
    assert option.header
    assert all(key.comment for key in option.keys.values())
