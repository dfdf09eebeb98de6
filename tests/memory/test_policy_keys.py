"""A policy that ignores a selection refuses one, whatever its name and wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clrun.config.compose import compose
from clrun.config.sources import conf_root
from clrun.errors import ConfigError

SELECTIONS = sorted({p.stem for p in (conf_root() / "selection").glob("*.yaml")} - {"random"})

FIFO = """
from dataclasses import dataclass

import torch


class Fifo:
    {declared}

    @dataclass(frozen=True, kw_only=True)
    class Config:
        pass

    def __init__(self, config):
        pass

    def keep(self, held, new, mem_size, order):
        return torch.arange(len(held) + len(new))[-mem_size:]
"""


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """(module, what the class says of selections) -> the folder with storage_policy=fifo."""

    def make(module: str, declared: str) -> Path:
        (tmp_path / f"{module}.py").write_text(FIFO.replace("{declared}", declared))
        (tmp_path / "conf" / "storage_policy").mkdir(parents=True)
        option = tmp_path / "conf" / "storage_policy" / "fifo.yaml"
        option.write_text(f"# The newest rows.\ntarget: {module}:Fifo\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path / "conf"

    return make


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize(
    ("module", "declared"),
    [("fifo_silent", '"""The newest."""'), ("fifo_no", "uses_selection = False")],
)
def test_a_policy_that_does_not_use_a_selection_refuses_one(
    fifo, module, declared, selection
) -> None:
    words = ["storage_policy=fifo", f"selection={selection}"]

    with pytest.raises(ConfigError) as caught:
        compose(words, config_dirs=[fifo(f"{module}_{selection}", declared)], trust=True)

    assert caught.value.problems == [
        f"selection={selection}: storage_policy=fifo does not ask which rows are best. "
        "Use selection=random, or storage_policy=class_balanced."
    ]


def test_a_policy_that_uses_a_selection_takes_any(fifo) -> None:
    words = ["storage_policy=fifo", "selection=herding"]

    config = compose(words, config_dirs=[fifo("fifo_yes", "uses_selection = True")], trust=True)

    assert config.nodes["storage_policy"].option == "fifo"


def test_random_selection_goes_with_every_policy(fifo) -> None:
    config = compose(["storage_policy=fifo"], config_dirs=[fifo("fifo_any", "pass")], trust=True)

    assert config.nodes["selection"].option == "random"
