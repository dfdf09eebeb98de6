"""Rows of images and latents in the memory order that they have, taken and put without reordering.

PyTorch's own `index_select` gives [N, C, H, W] rows that lie channels last back in the other order,
and is four times slower at it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """x.index_select(0, index), in the order of x. [N, ...], [n] -> [n, ...]"""
    if not is_channels_last(x):
        return x.index_select(0, index)
    return x.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)


def put_rows(x: Tensor, index: Tensor, rows: Tensor) -> None:
    """Write `rows` [n, ...] to the places `index` [n] of `x`, in the order of x."""
    if is_channels_last(x):
        x.permute(0, 2, 3, 1).index_copy_(0, index, rows.permute(0, 2, 3, 1))
    else:
        x.index_copy_(0, index, rows)


def empty_rows(
    count: int,
    shape: Sequence[int],
    dtype: torch.dtype,
    like: Tensor,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Room for `count` rows of `shape` on a device, in the order of `like`'s rows."""
    order = torch.channels_last if is_channels_last(like) else torch.contiguous_format
    return torch.empty(count, *shape, dtype=dtype, memory_format=order, device=device)


def is_channels_last(x: Tensor) -> bool:
    """Pixels, or latents of pixels, of which each has its channels side by side."""
    return x.dim() == 4 and x.stride(1) == 1 and x.shape[1] > 1 and x.stride(3) >= x.shape[1]
