import pytest
import torch
from torch import nn

from clrun.models.budget import budget


def refuse(needed: int) -> MemoryError:
    return MemoryError(needed)


def test_what_fits_is_made_as_it_would_be_without():
    torch.manual_seed(0)
    free = nn.Linear(100, 10)
    torch.manual_seed(0)
    with budget(4 * (100 * 10 + 10), refuse):
        bounded = nn.Linear(100, 10)

    assert torch.equal(free.weight, bounded.weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(1_000_000, 1_000_000),
        lambda: nn.Embedding(1 << 40, 1),
        lambda: [nn.Linear(100, 100) for _ in range(30)],
        lambda: torch.zeros(1 << 40, dtype=torch.uint8),
        lambda: torch.ones(1 << 40, device="cpu"),
    ],
)
def test_what_does_not_is_refused_before_it_takes_anything(make):
    with pytest.raises(MemoryError) as refused, budget(1_000_000, refuse):
        make()

    assert refused.value.args[0] > 1_000_000


def test_what_has_no_values_takes_nothing():
    with budget(1000, refuse):
        assert nn.Linear(1_000_000, 1_000_000, device="meta").weight.numel() == 10**12
