"""Rows in the memory order that they have."""

from __future__ import annotations

import pytest
import torch

from clrun.memory.row_order import empty_rows, is_channels_last, put_rows, take_rows

ORDERS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("order", ORDERS)
def test_taken_rows_lie_as_all_of_them_do(order):
    x = torch.rand(6, 4, 3, 2, generator=torch.Generator().manual_seed(0)).to(memory_format=order)
    index = torch.tensor([4, 0, 4])

    taken = take_rows(x, index)

    assert torch.equal(taken, x[index])
    assert taken.is_contiguous(memory_format=order)


@pytest.mark.parametrize("order", ORDERS)
def test_rows_are_put_where_the_index_says(order):
    like = torch.rand(2, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    room = empty_rows(5, (4, 3, 2), torch.float32, like.to(memory_format=order))
    room.zero_()

    put_rows(room, torch.tensor([3, 1]), like)

    assert is_channels_last(room) == (order == torch.channels_last)
    assert torch.equal(room[[3, 1]], like)
    assert room[[0, 2, 4]].count_nonzero() == 0
