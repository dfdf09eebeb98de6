from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, fx, nn
from torch.testing import assert_close

from clrun.images.transforms import Transform
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.places import Place
from clrun.strategies.shared_latents import SharedLatents

PLACE = Place(0, 0, 0, 1)
ROWS = 64


@pytest.fixture
def images() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (ROWS, 1, 12, 12), generator=rng).to(torch.uint8)


@pytest.fixture
def learning(parts_of):
    """Makes a source of latents that still learn, and the list of how many rows it saw at once."""

    def make(*, tricks: bool) -> tuple[LatentSource, list[int]]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3)]
        lower = fx.symbolic_trace(nn.Sequential(*layers)).eval()
        seen: list[int] = []
        lower.get_submodule("3").register_forward_pre_hook(
            lambda _layer, inputs: seen.append(len(inputs[0]))
        )
        transform = Transform((0.5,), (0.5,), "none")
        parts = parts_of(model=lower, transform=transform, tricks=tricks)
        return LatentSource(lower, parts, cached=False, frozen=False), seen

    return make


def gradients(source: LatentSource, x: Tensor) -> list[Tensor]:
    """The gradients of a loss that has another weight for each row."""
    source.begin(x, frozen=False)
    z = source.training(x, torch.arange(len(x)), PLACE)
    loss = (z * torch.arange(1.0, len(x) + 1)[:, None, None, None]).square().mean()
    return list(torch.autograd.grad(loss, list(source.lower.parameters())))


def test_a_learning_lower_part_sees_at_most_thirty_rows_at_once(learning, images):
    source, seen = learning(tricks=True)

    gradients(source, images)

    assert sum(seen) == ROWS
    assert max(seen) <= 30
    assert len(seen) == 3


def test_it_learns_from_rows_in_pieces_what_it_learns_from_all_without_tricks(learning, images):
    whole, seen = learning(tricks=False)
    expected = gradients(whole, images)
    pieces, _ = learning(tricks=True)

    found = gradients(pieces, images)

    assert seen == [ROWS]
    assert all(gradient.abs().sum() > 0 for gradient in expected)
    assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def sharing(parts_of, tmp_path):
    """Makes a source of a frozen part with a folder of its sweep, and the sizes that it computed"""

    def make(mean: float = 0.5, bias: float = 0.0) -> tuple[LatentSource, list[int]]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            lower = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).eval()
        lower.requires_grad_(False)[0].bias += bias
        seen: list[int] = []
        lower[1].register_forward_pre_hook(lambda _layer, inputs: seen.append(len(inputs[0])))
        latents = SharedLatents(tmp_path / "latents", "cpu")
        transform = Transform((mean,), (0.5,), "none")
        parts = replace(parts_of(model=lower, transform=transform), latents=latents)
        return LatentSource(lower, parts, cached=True, frozen=True), seen

    return make


def test_another_run_of_the_sweep_finds_latents_that_one_computed(sharing, images):
    one, computed = sharing()
    found = one.evaluation(images)
    one.begin(images, frozen=True)
    another, seen = sharing()

    assert computed
    assert torch.equal(another.evaluation(images.clone()), found)
    another.begin(images, frozen=True)
    assert torch.equal(another.training(images, torch.arange(ROWS), PLACE), found)
    assert seen == []


@pytest.mark.parametrize("change", ["images", "transform", "weights"])
def test_latents_of_something_else_are_computed(change, sharing, images):
    one, _ = sharing()
    one.evaluation(images)
    other, seen = {
        "images": sharing,
        "transform": lambda: sharing(mean=0.4),
        "weights": lambda: sharing(bias=0.5),
    }[change]()

    other.evaluation(images.flip(0) if change == "images" else images)

    assert seen


def test_a_part_that_will_learn_again_keeps_its_latents_to_itself(sharing, images, tmp_path):
    source, seen = sharing()
    source.begin(images, frozen=False)
    source.end(images, stays=False)

    source.evaluation(images)

    assert seen
    assert not (tmp_path / "latents").exists()


def test_a_part_that_stays_as_it_was_learnt_shares_its_latents(sharing, images, tmp_path):
    source, _ = sharing()
    source.begin(images, frozen=False)
    source.end(images, stays=True)

    source.evaluation(images)

    assert list((tmp_path / "latents").glob("*.latents"))
