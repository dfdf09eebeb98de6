"""Which head a configuration asks for, and images -> scores as one module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from clrun.device.memory import require_memory
from clrun.seeds import generator
from clrun.strategies.heads.fecam import FeCAM
from clrun.strategies.heads.head import Head, Size
from clrun.strategies.heads.keys import StatisticsKeys
from clrun.strategies.heads.ncm import NCM
from clrun.strategies.heads.ridge import Ridge
from clrun.strategies.heads.slda import SLDA

HEADS: Mapping[str, type[Head]] = {"ncm": NCM, "slda": SLDA, "ridge": Ridge, "fecam": FeCAM}


class Projection(nn.Module):
    """ReLU(g W), or g itself where there is no W; float64 from here on.

    Half precision of a run's forward passes leaves float64 as it is.
    """

    weight: Tensor

    def __init__(self, dim: int, projected: int | None, seed: int | None = None) -> None:
        """W [dim, projected] is normal with variance 1, drawn by `seed`, or to be loaded."""
        super().__init__()
        self._is_random = projected is not None
        if projected is None:
            return
        weight = torch.zeros(dim, projected)
        if seed is not None:
            weight.normal_(generator=generator(seed, "projection"))
        self.register_buffer("weight", weight)

    def forward(self, features: Tensor) -> Tensor:
        features = features.to(torch.float64)
        return relu(features @ self.weight.double()) if self._is_random else features


class Scorer(nn.Module):
    """Images as a model is given them -> the scores of all classes."""

    def __init__(self, features: nn.Module, projection: Projection, scores: nn.Module) -> None:
        super().__init__()
        self.features, self.projection, self.scores = features, projection, scores

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.projection(self.features(x)))
        return scores


def head_of(
    keys: StatisticsKeys, num_classes: int, dim: int, device: torch.device | str = "cpu"
) -> Head:
    """The head, without any rows, on features of `dim` before a projection."""
    size = Size(num_classes, keys.num_projected or dim)
    return HEADS[keys.head](keys, size, torch.device(device))


def require_head_fits(keys: StatisticsKeys, num_classes: int, features: Tensor) -> None:
    """Refuse features of a few images [n, d] that the head cannot take, or of which it would keep
    more than there is memory.

    Raises:
        ConfigError: naming key, value and what is allowed.
    """
    if keys.num_projected is None:
        head_of(keys, num_classes, 1).prepared(features.double())
    size = Size(num_classes, keys.num_projected or features.shape[1])
    key = f"projection_dim={size.dim}"
    if keys.num_projected is None:
        key = f"layer_name={'null' if keys.layer_name is None else keys.layer_name}"
    require_memory(
        8 * HEADS[keys.head].sizes(keys, size),
        f"strategy.{key}: what head={keys.head} keeps of {size.dim:,} features",
        "Use fewer features, or another head.",
    )
