"""MobileNetV1 in two parts, cut where latent replay wants its patterns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, fx, nn
from torch.nn.functional import interpolate

from clrun.config.bounds import FilePath, Positive
from clrun.fast.pointwise import Conv2d
from clrun.images.transforms import IMAGENET, PixelStatistics
from clrun.models.cosine_head import head_layer
from clrun.models.head_keys import Head
from clrun.models.layers import BatchNorm2d, GlobalAveragePool
from clrun.models.pretrained import shown_in_grey
from clrun.models.pytorchcv_weights import imagenet_weights
from clrun.models.weights import are_weights_left_out, load_pretrained
from clrun.streams.experience import StreamShape

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
BLOCKS += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
"""Channels and stride of each depthwise separable block (Howard et al. 2017, table 1)."""
SMALLEST_SIDE = 32
"""Pixels: five halvings leave one."""


class MobilenetV1(nn.Module):
    """MobileNet of width 1 (Howard et al. 2017, https://arxiv.org/abs/1704.04861): logits.

    28 layers: a convolution, 13 blocks of a depthwise and a pointwise convolution, and the mean
    over positions. Layers 0 to `latent_layer_num` are `lat_features`, the others `end_features`,
    numbered from 0 again. Images below 32 px are enlarged to it; any larger size works.
    """

    def __init__(self, num_classes: int, latent_layer_num: int = 19, in_channels: int = 3) -> None:
        super().__init__()
        layers = list(_layers(in_channels))
        assert 0 <= latent_layer_num < len(layers), f"latent_layer_num={latent_layer_num}"
        self.lat_features = nn.Sequential(*layers[: latent_layer_num + 1])
        self.end_features = nn.Sequential(*layers[latent_layer_num + 1 :])
        self.output = nn.Linear(1024, num_classes, bias=False)

    def forward(
        self, x: Tensor, latent_input: Tensor | None = None, return_lat_acts: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Logits of the rows of x, then of `latent_input`; [B, C, H, W], [M, c, h, w] -> [B+M, K]

        With `latent_input`, which joins after `lat_features`, no gradient reaches these.
        `return_lat_acts` gives what `lat_features` makes of x, too.
        """
        if latent_input is None:
            latents = mixed = self.lat_features(enlarged(x))
        else:
            with torch.no_grad():
                latents = self.lat_features(enlarged(x))
            mixed = torch.cat([latents, latent_input.to(latents.dtype)])
        logits = self.output(self.end_features(mixed).flatten(1))
        return (logits, latents) if return_lat_acts else logits

    def layer_name(self, index: int) -> str:
        """The name of one of the 28 layers, wherever the model is cut."""
        lower = len(self.lat_features)
        return f"lat_features.{index}" if index < lower else f"end_features.{index - lower}"


class MobilenetV1Model(MobilenetV1):
    """The `MobilenetV1` that a configuration describes, with its initial weights."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        latent_layer_num: Annotated[int, Field(ge=0, le=27)]
        pretrained: bool | FilePath
        head: Head = "linear"
        head_scale: Positive = 10.0

    def __init__(self, config: Config, shape: StreamShape) -> None:
        super().__init__(shape.num_classes, config.latent_layer_num, shape.channels)
        if config.head == "cosine":
            self.output = head_layer(config, 1024, shape.num_classes)
        self.pixel_statistics: PixelStatistics | None = None
        """of the images that published weights were trained with; None: there are none"""
        if config.pretrained is True and not are_weights_left_out():
            layers = [self.layer_name(index) for index in range(28)]
            weights = imagenet_weights(layers, in_channels=shape.channels)
            self.load_state_dict({**weights, "output.weight": self.output.weight})
            self.pixel_statistics = shown_in_grey(IMAGENET, shape.channels)
        load_pretrained(self, config.pretrained, renamed=self._cut_here)

    def _cut_here(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state whose layers are named after another cut, with the names of this one."""
        numbers = [int(name.split(".")[1]) for name in state if name.startswith("lat_features.")]
        lower = max(numbers, default=-1) + 1

        def ours(name: str) -> str:
            part, _, rest = name.partition(".")
            number, _, tensor = rest.partition(".")
            if part not in ("lat_features", "end_features"):
                return name
            index = int(number) + (0 if part == "lat_features" else lower)
            return f"{self.layer_name(index)}.{tensor}"

        return {ours(name): tensor for name, tensor in state.items()}


@fx.wrap
def enlarged(x: Tensor) -> Tensor:
    """Images whose smaller side has at least 32 px, in their own proportions."""
    height, width = x.shape[2:]
    if min(height, width) >= SMALLEST_SIDE:
        return x
    scale = SMALLEST_SIDE / min(height, width)
    return interpolate(x, (round(height * scale), round(width * scale)), mode="bilinear")


def _layers(in_channels: int) -> Iterator[nn.Module]:
    channels = 32
    yield _conv_block(in_channels, channels, kernel=3, stride=2)
    for wider, stride in BLOCKS:
        yield _conv_block(channels, channels, kernel=3, stride=stride, groups=channels)
        yield _conv_block(channels, wider, kernel=1)
        channels = wider
    yield GlobalAveragePool(keepdim=True)


def _conv_block(
    channels_in: int, channels: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size (over the stride), its normalisation, and a ReLU."""
    conv = Conv2d(
        channels_in, channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    nn.init.kaiming_uniform_(conv.weight)  # keeps the signal through 27 layers (He et al. 2015)
    activ = nn.ReLU(inplace=True)
    return nn.Sequential(OrderedDict(conv=conv, bn=BatchNorm2d(channels), activ=activ))
