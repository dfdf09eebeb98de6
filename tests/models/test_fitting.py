"""Tensors that have no place in a model, and places that have none, are each said."""

from __future__ import annotations

import torch

from clrun.models.fitting import misfits


def test_each_misfit_is_said_in_a_few_words() -> None:
    wanted = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(4)}
    given = {"b": torch.ones(3), "c": torch.ones(5), "d": torch.ones(6)}

    problems = misfits(wanted, given, lambda tensor: str(len(tensor)))

    assert problems == ["a is missing", "d is unknown", "c is 5 instead of 4"]


def test_what_is_described_alike_fits() -> None:
    wanted, given = {"a": torch.zeros(2)}, {"a": torch.ones(7)}

    assert misfits(wanted, given, lambda _: "a tensor") == []
