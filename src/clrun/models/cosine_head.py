"""A head whose logits are cosines, so that no class is favoured by long weights or a bias."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from clrun.models.head_keys import HeadKeys


class CosineHead(nn.Linear):
    """scale * cosine of the features and each class's weights: [B, d] -> [B, num_classes]

    Scale 10 without a bias is the head of ER-ACE's authors (pclucas14/AML). It is a linear layer to
    whoever looks for a head; those that would write a bias or the length of weights into it ask
    `is_cosine`.
    """

    def __init__(self, in_features: int, out_features: int, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        return self.scale * linear(normalize(input, dim=-1), normalize(self.weight, dim=-1))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, scale={self.scale:g}"


def is_cosine(layer: Any) -> bool:
    """Whether neither the length of the layer's weights nor a bias has a say in its logits."""
    return isinstance(layer, CosineHead)


def head_layer(keys: HeadKeys, features: int, num_classes: int, *, bias: bool = True) -> nn.Linear:
    """The head that the keys ask for; a linear one has a bias where the model's own would."""
    if keys.head == "cosine":
        return CosineHead(features, num_classes, keys.head_scale)
    return nn.Linear(features, num_classes, bias=bias)
