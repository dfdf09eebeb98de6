from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from clrun.images.content import content_digest


@pytest.fixture
def images() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (3000, 1, 2, 2), generator=rng).to(torch.uint8)


@pytest.fixture
def hashes(monkeypatch) -> list[bytes]:
    """Every hash that is begun."""
    begun, blake2b = [], hashlib.blake2b

    def counted(start: bytes, **options: int) -> object:
        begun.append(start)
        return blake2b(start, **options)

    monkeypatch.setattr(hashlib, "blake2b", counted)
    return begun


def test_equal_content_has_one_digest_wherever_it_lies(images):
    copies = [images.clone(), images.contiguous(memory_format=torch.channels_last), images[:]]

    assert {content_digest(copy) for copy in copies} == {content_digest(images)}
    assert len(content_digest(images)) == 16


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[1:],
        lambda x: x.flip(0),
        lambda x: x.view(-1, 2, 2, 1),
        lambda x: x.to(torch.int8),
    ],
    ids=["fewer", "order", "shape", "dtype"],
)
def test_another_content_shape_or_dtype_has_another(change, images):
    assert content_digest(change(images)) != content_digest(images)


def test_a_tensor_and_its_pieces_are_each_hashed_once(images, hashes):
    for _ in range(3):
        content_digest(images)
        for piece in images.split(1000):  # new objects each time
            content_digest(piece)

    assert len(hashes) == 1 + 3


@pytest.mark.parametrize("written", ["owner", "view"])
def test_what_was_written_to_is_hashed_again(written, images):
    view = images[10:20]
    before = content_digest(images), content_digest(view)

    (images[15] if written == "owner" else view[5]).add_(1)
    after = content_digest(images), content_digest(view)

    assert before[0] != after[0]
    assert before[1] != after[1]
    assert after[1] == content_digest(view.clone())


def test_another_tensor_in_the_place_of_one_that_is_gone_is_hashed_for_itself():
    digests = {content_digest(torch.full((100, 1, 8, 8), k, dtype=torch.uint8)) for k in range(50)}

    assert len(digests) == 50


def test_tensors_of_inference_mode_are_hashed_too(images):
    with torch.inference_mode():
        inside = images + 0

    assert content_digest(inside) == content_digest(images)
