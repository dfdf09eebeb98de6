import dataclasses
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted([*CONF.glob("storage_policy/*.yaml"), *CONF.glob("selection/*.yaml")])


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_an_option_has_the_keys_of_its_component_and_builds_it(path):
    values = OmegaConf.to_container(OmegaConf.load(path))
    module, _, name = values.pop("target").partition(":")
    component = getattr(import_module(module), name)

    built = component(component.Config(**values))

    assert list(values) == [field.name for field in dataclasses.fields(component.Config)]
    assert hasattr(built, "keep") or hasattr(built, "make_sorted_indices")


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_an_option_says_what_it_is_and_explains_every_key(path):
    first, _target, *keys = path.read_text(encoding="utf-8").splitlines()

    assert first.startswith("# ")
    assert all("  # " in line for line in keys)
