"""The cases that are measured, and the bars that clrun is measured against (cases.yaml)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

FILE = Path(__file__).with_name("cases.yaml")
BAR = re.compile(
    r"(?P<value>\w+)( (?P<how>[/-]) (?P<against>\w+))? (?P<sense><=|>=) (?P<limit>\S+)"
)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar that clrun has to reach: for a value of its own, or in proportion to another side's.

    `against` is that side; `difference` compares mean values instead of dividing in each repeat.
    """

    value: str
    limit: float
    against: str | None = None
    sense: Literal["at most", "at least"] = "at most"
    difference: bool = False

    @classmethod
    def parse(cls, text: str) -> Bar:
        """A bar as cases.yaml writes it, e.g. `total_cpu / avalanche <= 0.36`."""
        found = BAR.fullmatch(text)
        assert found, f"{text}: write VALUE [/ SIDE | - SIDE] <= LIMIT, or >="
        return cls(
            value=found["value"],
            limit=float(found["limit"]),
            against=found["against"],
            sense="at most" if found["sense"] == "<=" else "at least",
            difference=found["how"] == "-",
        )


@dataclass(frozen=True, kw_only=True)
class Data:
    """The stream of a case. Images have `side` pixels a side."""

    experiences: int = 5
    train: int
    test: int
    side: int = 28
    channels: int = 1
    classes: int = 10
    classes_per_experience: int = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison. Every side is a fresh process."""

    name: str
    about: str
    settings: dict[str, Any]
    data: Data | None = None
    sides: tuple[str, ...] = ("clrun", "raw", "avalanche")
    bars: tuple[Bar, ...] = ()
    seeds: int = 1
    """repeat r has seed r % seeds"""

    def as_json(self) -> dict[str, Any]:
        """The settings that a side reads, but for seed, threads and files."""
        data = asdict(self.data) if self.data else None
        return {"name": self.name, "mean": 0.286, "std": 0.353, **self.settings, "data": data}


def cases() -> list[Case]:
    """All cases, in the order of the file."""
    return [_case(name, keys) for name, keys in yaml.safe_load(FILE.read_text())["cases"].items()]


def names() -> dict[str, str]:
    """The names of values and sides, for people."""
    return yaml.safe_load(FILE.read_text())["names"]


def _case(name: str, keys: dict[str, Any]) -> Case:
    keys = {**keys, "bars": tuple(map(Bar.parse, keys["bars"]))}
    if "sides" in keys:
        keys["sides"] = tuple(keys["sides"])
    if "data" in keys:
        keys["data"] = Data(**keys["data"])
    return Case(name=name, **keys)
