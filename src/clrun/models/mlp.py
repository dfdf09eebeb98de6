"""A multi-layer perceptron on pixels, the usual model of MNIST-sized streams."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from clrun.config.bounds import Count, FilePath, Fraction, Positive
from clrun.models.cosine_head import head_layer
from clrun.models.dropout import SeededDropout
from clrun.models.head_keys import Head
from clrun.models.pretrained import require_file
from clrun.models.weights import load_pretrained
from clrun.streams.experience import StreamShape


class MLP(nn.Module):
    """Linear layers with ReLU between them: [B, C, H, W] -> [B, num_classes] logits.

    Two hidden layers of 400 are those of van de Ven et al. 2022
    (https://doi.org/10.1038/s42256-022-00568-3) on MNIST; no hidden layer is softmax regression.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        hidden: list[Count]
        dropout: Fraction
        init: Literal["pytorch", "xavier"]
        pretrained: bool | FilePath
        head: Head = "linear"
        head_scale: Positive = 10.0

        def __post_init__(self) -> None:
            require_file(self.pretrained, model="mlp")

    def __init__(self, config: Config, shape: StreamShape) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        width = shape.channels * shape.height * shape.width
        for i, units in enumerate(config.hidden):
            layers[f"linear{i}"] = nn.Linear(width, units)
            layers[f"relu{i}"] = nn.ReLU()
            if config.dropout > 0:
                layers[f"dropout{i}"] = SeededDropout(config.dropout)
            width = units
        self.features = nn.Sequential(layers)
        self.output = head_layer(config, width, shape.num_classes)
        if config.init == "xavier":
            self.apply(_xavier)
        load_pretrained(self, config.pretrained)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


def _xavier(module: nn.Module) -> None:
    """Glorot & Bengio 2010, uniform, with zero biases: what mammoth's MNIST network uses."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
