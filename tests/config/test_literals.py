"""Members of classes are read as they are written, without running their modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clrun.config.bases import component, declared
from clrun.config.compose import compose
from clrun.config.literals import MISSING, literal
from clrun.config.sources import conf_root

POLICIES = sorted(path.stem for path in (conf_root() / "storage_policy").glob("*.yaml"))
SELECTIONS = sorted(path.stem for path in (conf_root() / "selection").glob("*.yaml"))

MODULE = """
from typing import ClassVar
from clrun.memory import storage_policy
from clrun.memory.storage_policy import ExperienceBalancedStoragePolicy as Balanced

class Plain:
    flag: ClassVar[bool] = True
    number = 3

class Child(Plain):
    number = 4

class Elsewhere(Balanced):
    pass

class Attribute(storage_policy.ExperienceBalancedStoragePolicy):
    pass

Renamed = Balanced

class Assigned(Renamed):
    pass

class Computed:
    flag = 1 + 1
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_literals.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "some_literals"


@pytest.mark.parametrize(
    ("name", "member", "value"),
    [
        ("Plain", "flag", True),
        ("Plain", "number", 3),
        ("Child", "number", 4),
        ("Child", "flag", True),
        ("Elsewhere", "uses_selection", True),
        ("Attribute", "uses_selection", True),
        ("Assigned", "uses_selection", True),
        ("Computed", "flag", 2),
        ("Plain", "nothing", MISSING),
    ],
)
def test_a_member_is_its_class_s_or_its_ancestors(module, name, member, value) -> None:
    assert literal(f"{module}:{name}", member) == value


@pytest.mark.parametrize(
    ("group", "name", "member"),
    [
        *(("storage_policy", name, "uses_selection") for name in POLICIES),
        *(("selection", name, "ranks_rows") for name in SELECTIONS),
    ],
)
def test_what_is_read_without_running_is_what_the_class_says(group, name, member) -> None:
    node = compose([f"{group}={name}"]).nodes[group]

    assert declared(node, member) is getattr(component(node), member)


def test_reading_a_member_imports_no_torch() -> None:
    target = "clrun.memory.storage_policy:ReservoirStoragePolicy"
    code = (
        "import sys\nfrom clrun.config.literals import literal\n"
        f"assert literal({target!r}, 'uses_selection') is False\n"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
