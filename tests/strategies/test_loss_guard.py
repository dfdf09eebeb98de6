"""A loss that is not finite changes no weight, at every step and on every device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from clrun.errors import NonFiniteLoss
from clrun.fast.sgd import SGD
from clrun.strategies.loss_guard import LossGuard
from clrun.strategies.places import Place

BAD = [float("nan"), float("inf"), -float("inf")]
PLACE = Place(3, 1, 7, 9)
CPU = torch.device("cpu")
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda ps: SGD(ps, 0.1),
    "sgd with momentum": lambda ps: SGD(ps, 0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda ps: torch.optim.Adam(ps, 0.1, fused=True),
    "adamw": lambda ps: torch.optim.AdamW(ps, 0.1, fused=True),
}


def learnt(kind: str, factors: list[float], guard: LossGuard | None) -> list[torch.Tensor]:
    """Weights after each update by a loss of (factor * w) summed, watched by this guard."""
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = OPTIMIZERS[kind]([w])
    if guard is not None:
        assert guard.halts(optimizer)
    after = []
    for factor in factors:
        optimizer.zero_grad()
        loss = (w * factor).sum()
        loss.backward()
        if guard is not None:
            guard.mark(loss.detach())
        optimizer.step()
        after.append(w.detach().clone())
    return after


@pytest.mark.parametrize("bad", BAD)
def test_on_the_cpu_a_bad_loss_is_an_error_that_names_the_update(bad: float) -> None:
    guard = LossGuard(CPU)

    guard.check(torch.tensor(1.5), PLACE)
    with pytest.raises(
        NonFiniteLoss, match=rf"{bad} in experience 4, epoch 2, iteration 8\."
    ) as failed:
        guard.check(torch.tensor(bad), PLACE)

    assert failed.value.exit_code == 6


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("bad", BAD)
def test_a_flag_keeps_the_weights_as_they_were_before_the_bad_update(kind: str, bad: float) -> None:
    good = learnt(kind, [1.0, 2.0], None)

    weights = learnt(kind, [1.0, 2.0, bad, 3.0, 1.0], LossGuard(CPU))

    assert all(torch.equal(w, good[-1]) for w in weights[2:])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_flag_that_is_not_raised_changes_no_bit(kind: str) -> None:
    factors = [0.3, -1.7, 2.9, 0.01]

    guarded = learnt(kind, factors, LossGuard(CPU))

    assert all(map(torch.equal, guarded, learnt(kind, factors, None)))


def test_a_marked_loss_keeps_its_bits() -> None:
    losses = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    guard = LossGuard(CPU)

    for loss in losses.clone().unbind():
        before = loss.clone()
        guard.mark(loss)
        assert torch.equal(loss, before)
    assert guard.flag == 0


def test_an_optimizer_that_looks_at_no_flag_is_not_left_to_it() -> None:
    plain = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)

    assert not LossGuard(CPU).halts(plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_cuda_device_is_not_waited_for(kind: str) -> None:
    device = torch.device("cuda")
    w = torch.nn.Parameter(torch.ones(2, device=device))
    optimizer, guard = OPTIMIZERS[kind]([w]), LossGuard(device)
    guard.watch(optimizer, scaled=False)
    factors: Any = torch.tensor([1.0, float("nan"), 1.0], device=device)

    torch.cuda.set_sync_debug_mode("error")
    try:
        for factor in factors.unbind():
            optimizer.zero_grad()
            loss = (w * factor).sum()
            loss.backward()
            guard.check(loss.detach(), PLACE)
            optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")

    assert bool(guard.flag)
    assert bool(w.isfinite().all())
