from __future__ import annotations

import math

import pytest
import torch

from clrun.images.cutmix import cutmix


def images(count: int, height: int = 6, width: int = 8) -> torch.Tensor:
    """Image i has the value i everywhere."""
    return torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 3, height, width).clone()


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_rectangle_of_each_image_is_of_the_other_and_its_share_is_what_is_left():
    for seed in range(50):
        x = images(9)

        mixed = cutmix(x, 1.0, rng(seed))

        own = mixed.x == x
        is_other = mixed.x == mixed.other.view(-1, 1, 1, 1)
        moved = (mixed.other != torch.arange(9)).nonzero().flatten()
        assert bool((own | is_other).all())
        assert sorted(mixed.other.tolist()) == list(range(9))
        for i in moved.tolist():
            assert float(own[i].double().mean()) == pytest.approx(mixed.share)
            assert bool((own[i] == own[moved[0]]).all())
            changed = (~own[i, 0]).nonzero()
            if len(changed):
                height, width = (changed.max(0).values - changed.min(0).values + 1).tolist()
                assert len(changed) == height * width
        assert torch.equal(x, images(9))


def test_the_share_is_drawn_from_beta_and_the_rectangle_cut_at_the_border():
    halves = [cutmix(images(2, 101, 101), 1e6, rng(seed)).share for seed in range(200)]
    any_share = [cutmix(images(2, 101, 101), 1.0, rng(seed)).share for seed in range(200)]

    side = int(101 * math.sqrt(0.5)) // 2 * 2
    assert min(halves) == pytest.approx(1 - side**2 / 101**2, abs=0.01)
    assert max(halves) > 0.7
    assert min(any_share) < 0.3
    assert max(any_share) > 0.95


def test_it_follows_from_the_generator_alone():
    one, other, third = (cutmix(images(9), 1.0, rng(seed)) for seed in (1, 1, 2))

    assert torch.equal(one.x, other.x)
    assert not torch.equal(one.x, third.x)
    assert not math.isclose(one.share, third.share)
