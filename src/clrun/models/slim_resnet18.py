"""The slim ResNet-18 of online continual learning."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from clrun.config.bounds import Count, FilePath, Positive
from clrun.models.cosine_head import head_layer
from clrun.models.head_keys import Head
from clrun.models.layers import BatchNorm2d, GlobalAveragePool
from clrun.models.pretrained import require_file
from clrun.models.weights import load_pretrained
from clrun.streams.experience import StreamShape


class SlimResNet18(nn.Module):
    """ResNet-18 (He et al. 2016, https://arxiv.org/abs/1512.03385) for small images: logits.

    As in Lopez-Paz & Ranzato 2017 (https://arxiv.org/abs/1706.08840): a 3x3 stem without pooling,
    and `width`, 2, 4 and 8 times `width` channels, 20 instead of 64. The mean over positions makes
    any image size work; at 32 px it is that paper's 4x4 pooling.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        width: Count
        pretrained: bool | FilePath
        head: Head = "linear"
        head_scale: Positive = 10.0

        def __post_init__(self) -> None:
            require_file(self.pretrained, model="slim_resnet18")

    def __init__(self, config: Config, shape: StreamShape) -> None:
        super().__init__()
        width = config.width
        self.stem = _convolution(shape.channels, width, kernel=3, stride=1)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.average = GlobalAveragePool()
        self.output = head_layer(config, 8 * width, shape.num_classes)
        load_pretrained(self, config.pretrained)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x), inplace=True)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.output(self.average(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution where shapes change."""

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels_in, channels, kernel=3, stride=stride)
        self.conv2 = _convolution(channels, channels, kernel=3, stride=1)
        same = stride == 1 and channels_in == channels
        self.shortcut: nn.Module = (
            nn.Identity() if same else _convolution(channels_in, channels, kernel=1, stride=stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        z = functional.relu(self.conv1(x), inplace=True)
        return functional.relu(self.conv2(z) + self.shortcut(x), inplace=True)


def _convolution(channels_in: int, channels: int, *, kernel: int, stride: int) -> nn.Sequential:
    """A convolution that keeps the size (over the stride), and its batch normalisation."""
    conv = nn.Conv2d(channels_in, channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=BatchNorm2d(channels)))


def _stage(channels_in: int, channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(channels_in, channels, stride=stride),
        BasicBlock(channels, channels, stride=1),
    )
