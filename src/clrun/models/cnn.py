"""A plain convolutional network: small, and at home at any image size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from clrun.config.bounds import Count, FilePath, Fraction, Positive
from clrun.models.cosine_head import head_layer
from clrun.models.dropout import SeededDropout
from clrun.models.head_keys import Head
from clrun.models.layers import BatchNorm2d, GlobalAveragePool
from clrun.models.pretrained import require_file
from clrun.models.weights import load_pretrained
from clrun.streams.experience import StreamShape


class CNN(nn.Module):
    """Blocks of convolution, ReLU and pooling, then a mean over positions: logits [B, num_classes].

    Each block halves the image while there are two pixels to halve, so any size works.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        channels: Annotated[list[Count], Field(min_length=1)]
        norm: Literal["none", "batch"]
        dropout: Fraction
        pretrained: bool | FilePath
        head: Head = "linear"
        head_scale: Positive = 10.0

        def __post_init__(self) -> None:
            require_file(self.pretrained, model="cnn")

    def __init__(self, config: Config, shape: StreamShape) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width, size = shape.channels, min(shape.height, shape.width)
        for i, channels in enumerate(config.channels):
            normed = config.norm == "batch"  # whose shift makes a bias of the convolution idle
            layers[f"conv{i}"] = nn.Conv2d(width, channels, 3, padding=1, bias=not normed)
            if normed:
                layers[f"norm{i}"] = BatchNorm2d(channels)
            layers[f"relu{i}"] = nn.ReLU()
            if size >= 2:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
            width, size = channels, max(size // 2, 1)
        layers["average"] = GlobalAveragePool()
        if config.dropout > 0:
            layers["dropout"] = SeededDropout(config.dropout)
        self.features = nn.Sequential(layers)
        self.output = head_layer(config, width, shape.num_classes)
        load_pretrained(self, config.pretrained)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))
