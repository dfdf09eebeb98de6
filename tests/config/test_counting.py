"""Short files that stand for very much are refused while they are made plain, in every version."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from clrun.config import budget
from clrun.config.budget import MOST_INTERPOLATIONS, bounded
from clrun.config.counting import TooMuch, count_what_is_composed

FEW = 1000
"""Lists, where as many as there may be take seconds to make."""


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MOST_CONTAINERS", FEW)
    count_what_is_composed()


def test_as_many_lists_as_there_may_be_are_made_plain() -> None:
    lists = OmegaConf.create([[1]] * (FEW - 1))

    with bounded():
        plain = OmegaConf.to_container(lists, resolve=True)

    assert plain == [[1]] * (FEW - 1)


def test_one_more_is_refused() -> None:
    lists = OmegaConf.create([[1]] * FEW)

    with bounded(), pytest.raises(TooMuch, match=f"more than {FEW:,} lists"):
        OmegaConf.to_container(lists, resolve=True)


def test_one_interpolation_more_than_there_may_be_is_refused() -> None:
    texts = OmegaConf.create({"a": 1, "b": ["${a}"] * (MOST_INTERPOLATIONS + 1)})

    with bounded(), pytest.raises(TooMuch, match=f"more than {MOST_INTERPOLATIONS:,} inter"):
        OmegaConf.to_container(texts, resolve=True)


def test_outside_nothing_is_counted() -> None:
    lists = OmegaConf.create([[1]] * (FEW + 1))

    assert len(OmegaConf.to_container(lists, resolve=True)) == FEW + 1
