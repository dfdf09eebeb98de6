from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clrun.device.rows import (
    LEFT_FREE,
    Buffer,
    fits,
    hold,
    resident,
    rows_at_once,
    sent,
    size_in_bytes,
)

GIB = 2**30
CPU = torch.device("cpu")


class Lazy:
    """Rows that are no tensor, as those of a file that is mapped."""

    def __init__(self, x: Tensor) -> None:
        self._x = x
        self.shape, self.dtype = x.shape, x.dtype

    def __len__(self) -> int:
        return len(self._x)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        return self._x.index_select(dim, index)

    def split(self, size: int) -> tuple[Tensor, ...]:
        return self._x.split(size)


def test_rows_that_a_device_holds_come_in_order_as_views_of_them():
    x = torch.empty(10, 3, device="meta")  # a device that every machine has

    pieces = list(hold(x, torch.device("meta")).in_order(4))

    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert all(piece._base is x for piece in pieces)


class Told:
    """In an event's place: notes when it was waited for."""

    def __init__(self) -> None:
        self.waits = 0

    def synchronize(self) -> None:
        self.waits += 1


def images(n: int) -> Tensor:
    return torch.arange(n * 12).remainder(251).to(torch.uint8).view(n, 3, 2, 2)


class Recorded:
    """Stands for a tensor that is elsewhere, and keeps how it was asked to move."""

    device = torch.device("meta")

    def to(self, device: torch.device | str, *, non_blocking: bool) -> tuple[str, bool]:
        return str(device), non_blocking


@pytest.mark.parametrize(("device", "waits"), [("cpu", True), ("mps", True), ("cuda:0", False)])
def test_only_cuda_is_sent_rows_without_waiting(device, waits):
    assert sent(Recorded(), torch.device(device)) == (device, not waits)


@pytest.mark.parametrize("kind", [lambda x: x, Lazy])
def test_rows_on_the_cpu_are_taken_where_they_are(kind):
    x = images(10)
    held = hold(kind(x), CPU)

    taken = held.take(torch.tensor([7, 0, 7]))

    assert held.indices_on == CPU
    assert taken.dtype == torch.uint8
    assert torch.equal(taken, x[[7, 0, 7]])


def test_taking_no_rows_gives_none():
    assert hold(images(3), CPU).take(torch.zeros(0, dtype=torch.int64)).shape == (0, 3, 2, 2)


def test_a_row_that_does_not_exist_is_an_error():
    with pytest.raises(IndexError, match="out of range"):
        hold(images(3), CPU).take(torch.tensor([3]))


@pytest.mark.parametrize(
    ("size", "free", "fit"),
    [(0, 80, True), (30, 80, True), (40, 80, True), (41, 80, False), (0, 39, False)],
)
def test_rows_stay_on_a_device_while_half_of_it_remains_free(size, free, fit):
    assert fits(size * GIB, free * GIB, 80 * GIB) == fit


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 80))
def test_however_many_data_sets_are_held_the_model_keeps_its_share(sizes, total):
    free = total

    for size in sizes:
        free -= size if fits(size, free, total) else 0

    assert free >= LEFT_FREE * total


@pytest.mark.parametrize("kind", [lambda x: x, Lazy])
@pytest.mark.parametrize("pieces", [1, 4])
def test_a_resident_copy_is_made_piece_by_piece(kind, pieces, monkeypatch):
    x = images(11)
    monkeypatch.setattr("clrun.device.rows.COPIED_AT_ONCE", size_in_bytes(x) // pieces)

    copy = resident(kind(x), CPU)

    assert torch.equal(copy, x)
    assert copy.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("kind", [lambda x: x, Lazy])
def test_a_buffer_waits_for_its_last_copy_before_it_is_filled_again(kind):
    x, event = images(10), Told()
    buffer = Buffer(event, pinned=False)

    first = buffer.gather(kind(x), torch.tensor([1, 2, 3])).clone()
    second = buffer.gather(kind(x), torch.tensor([9, 8]))

    assert event.waits == 2
    assert torch.equal(first, x[[1, 2, 3]])
    assert torch.equal(second, x[[9, 8]])


def test_a_buffer_grows_with_the_minibatch_and_is_used_again():
    buffer, x = Buffer(Told(), pinned=False), images(10)

    places = [buffer.gather(x, torch.arange(n)).data_ptr() for n in (2, 6, 3, 6)]

    assert [a == b for a, b in pairwise(places)] == [False, True, True]


def test_rows_in_order_are_views_on_the_cpu_and_fewer_at_once_where_images_are_large():
    rows = torch.arange(8 * 3 * 512 * 512, dtype=torch.int32).view(8, 3, 512, 512)

    pieces = list(hold(rows, torch.device("cpu")).in_order(5))

    assert [len(piece) for piece in pieces] == [2, 2, 2, 2]
    assert pieces[1].data_ptr() == rows[2:].data_ptr()


@pytest.mark.parametrize(
    ("most", "side", "device", "expected"),
    [
        (512, 28, "cpu", 512),
        (512, 32, "cpu", 512),
        (512, 128, "cpu", 32),
        (8, 128, "cpu", 8),
        (512, 2000, "cpu", 1),
        (512, 128, "cuda", 512),
    ],
)
def test_large_images_go_together_in_smaller_numbers_on_a_cpu(most, side, device, expected):
    images = torch.empty(1, 3, side, side, dtype=torch.uint8)

    assert rows_at_once(most, images, torch.device(device)) == expected
