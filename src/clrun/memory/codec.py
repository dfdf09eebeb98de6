"""How latents are written down: as floats of fewer bits, or as steps of their channel's range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Literal, Protocol

import torch
from torch import Tensor

from clrun.memory.channel_steps import ChannelSteps, no_steps

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
    """Values in 255 steps over the range of their channel, which grows where it has to."""

    def __init__(self, steps: ChannelSteps | None = None) -> None:
        self.steps = steps
        """None before the first values"""

    def covering(self, pieces: Iterable[Tensor]) -> Stepped:
        ends = torch.cat([_ends(values) for values in pieces])
        before = self.steps or no_steps(ends.shape[1])
        after = before.widened(ends)
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


def _ends(z: Tensor) -> Tensor:
    """The least and the most of each channel. [N, C, ...] -> [2, C] float32"""
    values = z.detach().cpu().float().transpose(0, 1).flatten(1)
    return torch.stack([values.amin(1), values.amax(1)])
