"""Eight bits a value: each channel's range in 255 equal steps, as Quantized Latent Replay does it.

Ravaglia et al. 2021 (https://arxiv.org/abs/2110.10486) fix the ranges beforehand. Here they follow
the rows: one that lies outside widens its channel's range, to the double at least, and the values
that were coded before are coded again.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

STEPS = 255


class ChannelSteps(NamedTuple):
    """value = low + step * code, with a low and a step for each channel (dimension 1 of the rows).

    `low` is 0 unless negative values occur, so after a ReLU every code serves and 0 stays 0. A
    value is at most half a step off when it is coded, and at most one step however often its
    channel was widened since.
    """

    low: Tensor
    """[C] float32, at most 0"""
    step: Tensor
    """[C] float32; 0 for a channel that has been 0 in every row"""

    def widened(self, values: Tensor) -> ChannelSteps:
        """Steps that also reach `values` [N, C, ...]; the same where they already did."""
        rows = values.float().transpose(0, 1).flatten(1)  # [C, all its values]
        least, most = rows.amin(1), rows.amax(1)
        reach = self.low + (STEPS + 0.5) * self.step  # what is rounded to the last code
        outside = (least < self.low - 0.5 * self.step) | (most > reach)
        low = torch.minimum(least, self.low)
        high = torch.maximum(most, self.low + STEPS * self.step)
        step = torch.maximum((high - low) / STEPS, 2 * self.step)
        return ChannelSteps(
            torch.where(outside, low, self.low), torch.where(outside, step, self.step)
        )

    def encode(self, values: Tensor) -> Tensor:
        """The nearest codes. [N, C, ...] -> uint8"""
        low, step = (_beside(parameter, values) for parameter in self)
        codes = (values.float() - low) / torch.where(step > 0, step, 1)
        return codes.round_().clamp_(0, STEPS).to(torch.uint8)

    def decode(self, codes: Tensor) -> Tensor:
        """The values that codes [N, C, ...] stand for, float32."""
        low, step = (_beside(parameter, codes) for parameter in self)
        return torch.addcmul(low, step, codes.float())


def no_steps(channels: int) -> ChannelSteps:
    """The range of channels of which nothing is known: 0 alone."""
    return ChannelSteps(torch.zeros(channels), torch.zeros(channels))


def _beside(parameter: Tensor, rows: Tensor) -> Tensor:
    """A value for each channel [C], in the shape of rows: [1, C, 1, ...]."""
    return parameter.view(1, -1, *[1] * (rows.dim() - 2))
