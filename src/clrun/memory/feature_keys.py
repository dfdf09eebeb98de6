"""The keys of a selection that ranks rows by their features. Read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clrun.config.bounds import FilePath
from clrun.config.keys import Keys


@dataclass(frozen=True, kw_only=True)
class FeatureKeys(Keys):
    """Which network and which of its layers compute the features. A `Config` inherits it."""

    layer_name: str | None
    normalize: bool
    model: Literal["current", "initial"] | FilePath
