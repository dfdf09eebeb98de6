"""Selection strategies: which rows of a group are worth keeping, best first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clrun.config.keys import Keys
from clrun.memory.feature_keys import FeatureKeys
from clrun.memory.herding import closest_to_center, herding
from clrun.memory.table import Table
from clrun.models.features import require_layer

Extract = Callable[[Tensor, str | None], Tensor]
"""(rows [n, C, H, W] uint8, layer name or None for the penultimate layer) -> features [n, ...].

The strategy provides it: evaluation mode, no augmentation, and the model left as it was.
"""


class ClassExemplarsSelectionStrategy(ABC):
    """A ranking of the rows of one group, by their features or by any column (see `Table`).

    A class of another package need not inherit: what it does not declare comes from here.
    """

    ranks_rows: ClassVar[bool] = True
    """False: no row is better than another, as for a random choice."""

    @staticmethod  # noqa: B027 - there is nothing to refuse unless a selection has a reason
    def check(config: Any, model: nn.Module) -> None:
        """Refuse keys that cannot work with this model, which stays as it is.

        Raises:
            ConfigError: naming key, value and what is allowed.
        """

    @abstractmethod
    def make_sorted_indices(self, pool: Table, extract: Extract, k: int | None = None) -> Tensor:
        """Indices of the best k rows (None: all), best first. [min(k, n)] int64"""


class RandomExemplarsSelectionStrategy(ClassExemplarsSelectionStrategy):
    """The order of the rows' keys, so that merging a group again and again stays uniform."""

    ranks_rows: ClassVar[bool] = False

    @dataclass(frozen=True, kw_only=True)
    class Config(Keys):
        pass

    def __init__(self, config: Config) -> None:
        self.config = config

    def make_sorted_indices(self, pool: Table, extract: Extract, k: int | None = None) -> Tensor:
        return pool.key.argsort(descending=True, stable=True)[:k]


class FeatureBasedExemplarsSelectionStrategy(ClassExemplarsSelectionStrategy):
    """A ranking by what a layer of a network computes for the rows."""

    @dataclass(frozen=True, kw_only=True)
    class Config(FeatureKeys):
        pass

    @staticmethod
    def check(config: Any, model: nn.Module) -> None:
        """Refuse a layer that the model does not have."""
        if config.layer_name is not None:
            require_layer(model, config.layer_name, key="selection.layer_name")

    def __init__(self, config: Config) -> None:
        self.config = config

    def make_sorted_indices(self, pool: Table, extract: Extract, k: int | None = None) -> Tensor:
        features = extract(pool.x, self.config.layer_name).flatten(1)
        if self.config.normalize:
            features = unit_length(features)
        best = self.make_sorted_indices_from_features(features, k)
        return torch.tensor(best, dtype=torch.int64)

    @abstractmethod
    def make_sorted_indices_from_features(
        self, features: Tensor, k: int | None = None
    ) -> list[int]:
        """Indices of the best k rows of the features [n, d], best first."""


class HerdingSelectionStrategy(FeatureBasedExemplarsSelectionStrategy):
    """Every prefix has a mean close to the group's: see `herding`."""

    def make_sorted_indices_from_features(
        self, features: Tensor, k: int | None = None
    ) -> list[int]:
        return herding(features, k).tolist()


class ClosestToCenterSelectionStrategy(FeatureBasedExemplarsSelectionStrategy):
    """The rows closest to the group's mean: see `closest_to_center`."""

    def make_sorted_indices_from_features(
        self, features: Tensor, k: int | None = None
    ) -> list[int]:
        return closest_to_center(features, k).tolist()


def unit_length(features: Tensor) -> Tensor:
    """Rows divided by their length, in float64; rows of zeros stay zeros. [n, d] -> [n, d]"""
    f = features.cpu().double()
    length = f.norm(dim=1, keepdim=True)
    return f / length.where(length > 0, torch.ones_like(length))
