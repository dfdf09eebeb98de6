"""How latents are written down: as floats of fewer bits, or as steps of their channel's range."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from math import prod
from typing import Literal, Protocol

import torch
from torch import Tensor

from clrun.memory.channel_steps import ChannelSteps, no_steps

FAR, USUAL = 16.0, 0.9
"""No value of a normal distribution lies so far outside."""
CLIPPED = (
    "strategy.latent_dtype=uint8: %s of %s values lie more than %g times outside of what is usual "
    "in their channel, and are clipped. Other types store them as they are."
)

log = logging.getLogger("clrun.note")

LatentDtype = Literal["float32", "float16", "bfloat16", "uint8"]


class Codec(Protocol):
    """A way to write values [N, C, ...] down as codes of the same shape."""

    def covering(self, pieces: Iterable[Tensor]) -> Codec:
        """A codec that also reaches the values of all `pieces`; itself where it does already."""
        ...

    def encode(self, values: Tensor) -> Tensor: ...
    def decode(self, codes: Tensor) -> Tensor:
        """The values that codes stand for, float32."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """What is needed to decode, beside the codes."""
        ...


class Rounded:
    """Values rounded to a float type, or left as they are."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def covering(self, pieces: Iterable[Tensor]) -> Rounded:
        return self

    def encode(self, values: Tensor) -> Tensor:
        return values.to(self.dtype)

    def decode(self, codes: Tensor) -> Tensor:
        return codes.float()

    def state_dict(self) -> dict[str, Tensor]:
        return {}


class Stepped:
    """Values in 255 steps over the range of their channel, which grows where it has to.

    A single value far outside (`FAR` times what nine of ten stay below, zeros left out) would leave
    all others a step or two, for ever: it is clipped, and a note says how many were.
    """

    def __init__(self, steps: ChannelSteps | None = None) -> None:
        self.steps = steps
        """None before the first values"""

    def covering(self, pieces: Iterable[Tensor]) -> Stepped:
        found, beyond, total = [], 0, 0
        for values in pieces:
            ends, clipped = _ends(values)
            found.append(ends)
            beyond, total = beyond + clipped, total + values.numel()
        if beyond:
            log.warning(CLIPPED, f"{beyond:,}", f"{total:,}", FAR)
        both = torch.cat(found)
        before = self.steps or no_steps(both.shape[1])
        after = before.widened(both)
        return self if torch.equal(before.step, after.step) and self.steps else Stepped(after)

    def encode(self, values: Tensor) -> Tensor:
        assert self.steps, "the values of a codec are covered before they are encoded"
        return self.steps.encode(values)

    def decode(self, codes: Tensor) -> Tensor:
        assert self.steps
        return self.steps.decode(codes)

    def state_dict(self) -> dict[str, Tensor]:
        return self.steps._asdict() if self.steps else {}


def codec(dtype: LatentDtype, state: Mapping[str, Tensor] | None = None) -> Codec:
    """A fresh codec of that name, or the one that a state was saved of."""
    if dtype != "uint8":
        return Rounded(getattr(torch, dtype))
    return Stepped(ChannelSteps(**state) if state else None)


def bytes_of_latents(latent_shape: tuple[int, ...], dtype: LatentDtype) -> tuple[int, int]:
    """(bytes of one row's codes, bytes of the codec whatever the number of rows)."""
    row = prod(latent_shape) * getattr(torch, dtype).itemsize
    return row, 2 * 4 * latent_shape[0] if dtype == "uint8" else 0


def _ends(z: Tensor) -> tuple[Tensor, int]:
    """The least and the most of each channel, [N, C, ...] -> [2, C] float32, and how many values
    lie beyond: those far outside of what is usual in their channel."""
    values = z.detach().cpu().float().transpose(0, 1).flatten(1)
    ends = torch.stack([values.amin(1), values.amax(1)])
    size = values.abs()
    usual = size.sum(1) / size.count_nonzero(1).clamp(min=1)
    beyond = 0
    for channel in (ends.abs().amax(0) > FAR * usual).nonzero().flatten().tolist():
        of_channel = size[channel]
        limit = FAR * of_channel[of_channel > 0].quantile(USUAL)
        ends[:, channel].clamp_(-limit, limit)
        beyond += int((of_channel > limit).sum())
    return ends, beyond
