from __future__ import annotations

import tempfile

import pytest
import torch
from torch import nn

from clrun.errors import StorageError
from clrun.strategies.latent_cache import LatentCache


class Counting:
    """A frozen part that tells how many rows it was given."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, 4, 3, padding=1).requires_grad_(False)
        self.rows: list[int] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(x))
        return self.layer(x.float())


@pytest.fixture
def images() -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (21, 1, 5, 5), generator=rng).to(torch.uint8)


@pytest.fixture(autouse=True)
def global_generator():
    with torch.random.fork_rng(devices=[]):
        yield


def test_what_was_computed_once_is_not_computed_again(images):
    part = Counting()
    cache = LatentCache(part, chunk=8)

    first, again = cache.latents(images), cache.latents(images.clone())

    assert part.rows == [8, 8, 8]
    assert torch.equal(first, again)
    torch.testing.assert_close(first, part.layer(images.float()), rtol=1e-5, atol=1e-4)


def test_images_that_changed_in_place_are_other_images(images):
    cache = LatentCache(Counting(), chunk=8)
    before = cache.latents(images).clone()

    images[3] = 255 - images[3]
    after = cache.latents(images)

    assert torch.equal(before[:3], after[:3])
    assert not torch.equal(before[3], after[3])


def test_a_row_has_the_same_bits_whatever_rows_are_beside_it(images):
    cache = LatentCache(Counting(), chunk=8)

    together = cache.latents(images)

    assert torch.equal(cache.latents(images[20:]), together[20:])
    assert torch.equal(cache.latents(images[3:9]), together[3:9])
    assert torch.equal(cache.compute(images[3:9]), together[3:9])


def test_latents_beyond_the_limit_lie_in_a_file_that_is_gone_when_they_are(
    images, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_memory, mapped = (
        LatentCache(Counting(), chunk=8),
        LatentCache(Counting(), chunk=8, in_memory=0),
    )

    latents = mapped.latents(images)

    assert torch.equal(latents, in_memory.latents(images))
    assert mapped.nbytes == latents.nbytes == 21 * 4 * 25 * 4
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_the_file_is_told_with_a_way_out(images, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    cache = LatentCache(Counting(), chunk=8, in_memory=0)

    with pytest.raises(StorageError, match=r"no room for 8400 bytes .* strategy.latent_cache=off"):
        cache.latents(images)


def test_latents_stay_on_the_device_that_computes_them_while_there_is_room(images):
    asked, part = [], Counting()

    def has_room(nbytes: int) -> bool:
        asked.append(nbytes)
        return len(asked) == 1

    def on_device(x: torch.Tensor) -> torch.Tensor:
        return part(x).to("meta")  # a device that every machine has

    cache = LatentCache(on_device, chunk=8, in_memory=4 * 4 * 25 * 4, has_room=has_room)

    held, again = cache.latents(images), cache.latents(images)

    assert held.device.type == "meta"
    assert held.shape == (21, 4, 5, 5)
    assert again is held
    assert part.rows == [8, 8, 8]
    assert asked == [21 * 4 * 25 * 4]


def test_what_the_device_has_no_room_for_goes_to_the_host_in_the_same_order(images):
    channels_last = Counting()

    def ordered(x: torch.Tensor) -> torch.Tensor:
        return channels_last(x).contiguous(memory_format=torch.channels_last)

    here = LatentCache(ordered, chunk=8, has_room=lambda _nbytes: True).latents(images)
    there = LatentCache(ordered, chunk=8, has_room=lambda _nbytes: False).latents(images)

    assert torch.equal(here, there)
    assert here.stride() == there.stride()


def test_space_is_given_back(images):
    part = Counting()
    cache = LatentCache(part, chunk=8)
    cache.latents(images)
    cache.latents(images[:4])

    cache.forget(images)

    assert cache.nbytes == 4 * 4 * 25 * 4
    cache.clear()
    assert cache.nbytes == 0
    cache.latents(images[:4])
    assert part.rows == [8] * 5
