from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.memory.channel_steps import no_steps


def latents(seed: int, *, scale: float = 1.0, negative: bool = False) -> torch.Tensor:
    """[7, 3, 2, 2], of very different sizes in each channel; after a ReLU unless negative."""
    values = torch.randn(7, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) * scale
    values *= torch.tensor([0.01, 1.0, 100.0]).view(1, 3, 1, 1)
    return values if negative else values.relu()


def of_channel(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.view(1, -1, 1, 1)


@pytest.mark.parametrize("negative", [False, True])
def test_a_value_is_at_most_half_a_step_off(negative):
    z = latents(0, negative=negative)
    steps = no_steps(3).widened(z)

    error = (steps.decode(steps.encode(z)) - z).abs()

    assert bool((error <= 0.501 * of_channel(steps.step)).all())
    span = z.amax((0, 2, 3)) - z.amin((0, 2, 3)).clamp(max=0)
    torch.testing.assert_close(steps.step, span / 255)


def test_zero_stays_zero_after_a_relu():
    z = latents(0)
    steps = no_steps(3).widened(z)

    decoded = steps.decode(steps.encode(z))

    assert bool((z == 0).any())
    assert bool((decoded[z == 0] == 0).all())


def test_a_channel_that_is_always_zero_takes_a_step_of_zero():
    z = latents(0)
    z[:, 1] = 0

    steps = no_steps(3).widened(z)

    assert steps.step[1] == 0
    assert bool((steps.decode(steps.encode(z))[:, 1] == 0).all())


def test_rows_inside_the_range_change_nothing():
    steps = no_steps(3).widened(latents(0))

    again = steps.widened(steps.decode(steps.encode(latents(0))) / 2)

    assert torch.equal(again.step, steps.step)
    assert torch.equal(again.low, steps.low)


@given(
    scales=st.lists(st.floats(0.01, 100), min_size=1, max_size=8),
    negative=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_however_often_ranges_grow_a_value_is_at_most_one_step_off(scales, negative):
    z = latents(0, negative=negative)
    steps = no_steps(3).widened(z)
    codes = steps.encode(z)

    for seed, scale in enumerate(scales, start=1):
        wider = steps.widened(latents(seed, scale=scale, negative=negative))
        codes, steps = wider.encode(steps.decode(codes)), wider

    assert bool(((steps.decode(codes) - z).abs() <= 1.001 * of_channel(steps.step)).all())
