"""The `Config` of a component, found without running its module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clrun.config.nodes import hints_of, read_node
from clrun.config.schema import config_class
from clrun.config.trust import Trust, trusting

MODULE = """
from __future__ import annotations

import typing as t
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import heavy_and_not_installed

if TYPE_CHECKING:
    from heavy_and_not_installed import Weight

LEAST, MOST = 1, 5
try:
    import tomllib
    SOURCE: t.Final = "toml"
except ImportError:
    SOURCE = "none"
if MOST > 3:
    WORDS = ("a", "b")
else:
    WORDS = ()
with open(__file__) as file:
    FIRST = file.readline()
ORDER = ["x"]
ORDER += ["y"]
Kind = Literal["x", "y"]


class Mine(heavy_and_not_installed.Module):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        VALUE: {annotation} = {constant}
        kind: Kind
        width: int = LEAST

        def value(self):
            return self.VALUE
"""


@pytest.fixture
def module_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """(annotation, constant) -> the target of a component whose `Config` has such a variable."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(annotation: str, constant: str) -> str:
        name = f"schema_of_{constant.lower()}_{abs(hash(annotation))}"
        text = MODULE.replace("{annotation}", annotation).replace("{constant}", constant)
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:Mine"

    with trusting(Trust(everything=True)):
        yield write
    for name in [name for name in sys.modules if name.startswith("schema_of_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("annotation", "constant", "value"),
    [
        ("ClassVar[int]", "MOST", 5),
        ("t.ClassVar[int]", "LEAST", 1),
        ("ClassVar", "SOURCE", "toml"),
        ("ClassVar[tuple[str, ...]]", "WORDS", ("a", "b")),
        ("ClassVar[str]", "FIRST", "\n"),
        ("ClassVar[list[str]]", "ORDER", ["x", "y"]),
        ("ClassVar[Weight | None]", "None", None),
    ],
)
def test_a_class_variable_may_have_the_value_of_any_constant_of_the_module(
    annotation, constant, value, module_of
):
    target = module_of(annotation, constant)

    node, problems = read_node("model", "mine", target, {"kind": "x", "width": 3})

    assert problems == []
    assert config_class(target).VALUE == node.config.value() == value
    assert list(hints_of(target, {})) == ["kind", "width"]
