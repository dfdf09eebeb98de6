"""CutMix: a rectangle of each image comes from another one, and so does its share of the loss.

Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
Features", https://arxiv.org/abs/1905.04899, equations 1 and 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from clrun.device.rows import sent


class Mixed(NamedTuple):
    """A minibatch of images with rectangles of one another in them."""

    x: Tensor
    """[B, C, H, W]"""
    other: Tensor
    """[B] int64, the image that the rectangle is of"""
    share: float
    """of the area that is the image's own; 1 - share is the other's"""


def cutmix(x: Tensor, alpha: float, rng: Generator) -> Mixed:
    """Exchange one rectangle between images [B, C, H, W], whose share of the area is drawn from
    Beta(alpha, alpha). Its centre may be anywhere, and what is over the border is cut off."""
    other = sent(torch.randperm(len(x), generator=rng), x.device)
    shape = torch.full((1, 2), alpha, dtype=torch.float64)
    share = float(torch._sample_dirichlet(shape, generator=rng)[0, 0])
    (top, bottom), (left, right) = (_span(n, math.sqrt(1 - share), rng) for n in x.shape[2:])
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
    return Mixed(mixed, other, 1 - (bottom - top) * (right - left) / (x.shape[2] * x.shape[3]))


def _span(length: int, part: float, rng: Generator) -> tuple[int, int]:
    """Where a part of a side starts and stops."""
    half = int(length * part) // 2
    centre = int(torch.randint(length, (), generator=rng))
    return max(0, centre - half), min(length, centre + half)
