"""Models in plain PyTorch with the layers, and the layers' names, of clrun's models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional


class Mean(nn.Module):
    """Mean over positions. [B, C, H, W] -> [B, C]"""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class TwoParts(nn.Module):
    """Features, then logits."""

    def __init__(self, features: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.features, self.output = features, nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


def mlp(channels: int, side: int, classes: int, hidden: int = 400) -> TwoParts:
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = channels * side * side
    for i in range(2):
        layers[f"linear{i}"], layers[f"relu{i}"] = nn.Linear(width, hidden), nn.ReLU()
        width = hidden
    return TwoParts(nn.Sequential(layers), width, classes)


def cnn(channels: int, side: int, classes: int) -> TwoParts:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = channels
    for i, wider in enumerate((32, 64, 128)):
        layers[f"conv{i}"] = nn.Conv2d(width, wider, 3, padding=1)
        layers[f"relu{i}"] = nn.ReLU()
        layers[f"pool{i}"] = nn.MaxPool2d(2)
        width = wider
    layers["average"] = Mean()
    return TwoParts(nn.Sequential(layers), width, classes)


class Block(nn.Module):
    """A basic block of ResNet-18."""

    def __init__(self, width: int, wider: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(width, wider, 3, stride)
        self.conv2 = _convolution(wider, wider, 3, 1)
        same = stride == 1 and width == wider
        self.shortcut = nn.Identity() if same else _convolution(width, wider, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        z = functional.relu(self.conv1(x))
        return functional.relu(self.conv2(z) + self.shortcut(x))


class SlimResNet18(nn.Module):
    """ResNet-18 of width 20 with a 3x3 stem."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.stem = _convolution(channels, 20, 3, 1)
        width = 20
        for i, (wider, stride) in enumerate(((20, 1), (40, 2), (80, 2), (160, 2)), start=1):
            stage = nn.Sequential(Block(width, wider, stride), Block(wider, wider, 1))
            self.add_module(f"layer{i}", stage)
            width = wider
        self.average, self.output = Mean(), nn.Linear(width, classes)

    def features(self, x: Tensor) -> Tensor:
        z = functional.relu(self.stem(x))
        return self.average(self.layer4(self.layer3(self.layer2(self.layer1(z)))))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


def _convolution(width: int, wider: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(width, wider, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(wider)))


MODELS = {"mlp": mlp, "cnn": cnn, "slim_resnet18": SlimResNet18}
FEATURES = {"mlp": "features", "cnn": "features", "slim_resnet18": "average"}
"""The last layer before the head."""


class Convolution(NamedTuple):
    """One of MobileNetV1's 27 convolutions."""

    channels: int
    wider: int
    kernel: int
    stride: int
    groups: int


def mobilenet_layers() -> Iterator[Convolution]:
    """The layers from the image up: a full convolution, then pairs of depthwise and pointwise."""
    yield Convolution(3, 32, 3, 2, 1)
    width = 32
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    for wider, stride in [*steps, *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        yield Convolution(width, width, 3, stride, width)
        yield Convolution(width, wider, 1, 1, 1)
        width = wider
