"""CWR and CWR+ against their definition, written down once more with loops over classes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from clrun.strategies.cwr import CWR, cwr_of
from clrun.strategies.cwr_star import CWRStar

CLASSES, FEATURES = 6, 4
STREAM = ([3, 2, 0, 0, 0, 0], [0, 0, 4, 1, 0, 0], [0, 5, 0, 0, 2, 0])
"""Patterns of each class in three experiences; class 1 comes back."""


def linear(*, bias: bool) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(FEATURES, CLASSES, bias=bias)


def trained(experience: int, *, columns: int = FEATURES + 1) -> Tensor:
    """What training makes of a head's rows, the bias last."""
    return torch.randn(CLASSES, columns, generator=torch.Generator().manual_seed(experience))


def put(head: nn.Linear, rows: Tensor) -> None:
    with torch.no_grad():
        head.weight.copy_(rows[:, :FEATURES])
        if head.bias is not None:
            head.bias.copy_(rows[:, FEATURES])


def rows_of(head: nn.Linear) -> Tensor:
    columns = [head.weight] if head.bias is None else [head.weight, head.bias[:, None]]
    return torch.cat([column.detach().clone() for column in columns], 1)


def by_definition(stream: Sequence[Sequence[int]], *, plus: bool, bias: bool) -> list[list[float]]:
    """The head after the last experience, in float64."""
    saved: dict[int, list[float]] = {}
    rows: list[list[float]] = []
    for experience, counts in enumerate(stream):
        rows = trained(experience).double()[:, : FEATURES + bias].tolist()
        current = [c for c in range(CLASSES) if counts[c] > 0]
        saved |= {c: list(rows[c]) for c in current}
        if plus:
            weights = [w for row in saved.values() for w in row[:FEATURES]]
            biases = [b for row in saved.values() for b in row[FEATURES:]]
            for c in current:
                off = [sum(weights) / len(weights)] * FEATURES
                off += [sum(biases) / len(biases)] if bias else []
                saved[c] = [w - o for w, o in zip(saved[c], off, strict=True)]
    return [saved.get(c, rows[c]) for c in range(CLASSES)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["cwr", "cwr_plus"])
def test_the_head_after_each_experience_is_the_definition_s(name, bias):
    head = linear(bias=bias)
    cwr = cwr_of(name, head, seed=0)

    for experience, counts in enumerate(STREAM):
        cwr.begin(torch.tensor(counts), experience)
        put(head, trained(experience))
        cwr.consolidate()

        expected = by_definition(STREAM[: experience + 1], plus=name == "cwr_plus", bias=bias)
        assert_close(rows_of(head), torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_cwr_plus_begins_each_experience_with_zeros_even_for_classes_seen_before():
    head = linear(bias=True)
    cwr = cwr_of("cwr_plus", head, seed=0)
    cwr.begin(torch.tensor(STREAM[0]), 0)
    put(head, trained(0))
    cwr.consolidate()

    cwr.begin(torch.tensor(STREAM[2]), 1)

    assert not rows_of(head).any()


def test_cwr_draws_the_head_anew_for_each_experience_as_pytorch_draws_a_layer():
    head = linear(bias=True)
    cwr = cwr_of("cwr", head, seed=3)
    drawn = []
    for experience in (0, 1, 0):
        cwr.begin(torch.tensor(STREAM[0]), experience)
        drawn.append(rows_of(head))

    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert float(drawn[0].abs().max()) <= FEATURES**-0.5
    assert float(drawn[0].std()) == pytest.approx(FEATURES**-0.5 / 3**0.5, rel=0.25)


def test_each_name_has_what_looks_after_the_head():
    head = linear(bias=True)

    assert cwr_of("plain", head, seed=0) is None
    assert type(cwr_of("cwr_star", head, seed=0)) is CWRStar
    assert isinstance(cwr_of("cwr", head, seed=0), CWR)
