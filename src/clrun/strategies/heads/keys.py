"""The keys of strategy=statistics: which head, on which features, and what is each head's own.

Nothing of this imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from clrun.config.bounds import Count, NonNegative, Positive, Rows
from clrun.config.keys import Keys

USUAL: Mapping[str, Mapping[str, Any]] = {
    "ncm": {"normalize": True, "distance": "cosine"},
    "slda": {"update": "exact", "shrinkage": 1e-4},
    "ridge": {"ridge_lambda": "auto"},
    "fecam": {"beta": 0.5, "a1": 1.0, "a2": 1.0, "covariance": "per_class"},
}
"""What each head has as a key of its own, and what that is where it is null."""
USUAL_DIM = 2000
"""Features of a projection. The paper has 10,000, whose float64 sums take 800 MB; these take 32."""


@dataclass(frozen=True, kw_only=True)
class StatisticsKeys(Keys):
    """The fields of the `Config`; see `_statistics.yaml`."""

    tuned: ClassVar[Mapping[str, str]] = {"head": "ncm,slda,ridge,fecam"}

    head: Literal["ncm", "slda", "ridge", "fecam"]
    layer_name: str | None
    projection: Literal["none", "random"]
    projection_dim: Count | None
    eval_mb_size: Rows
    normalize: bool | None
    distance: Literal["cosine", "euclidean"] | None
    update: Literal["exact", "reference"] | None
    shrinkage: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None
    ridge_lambda: Positive | Literal["auto"] | None
    beta: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None
    a1: NonNegative | None
    a2: NonNegative | None
    covariance: Literal["per_class", "shared"] | None

    def __post_init__(self) -> None:
        """Refuse keys of another head."""
        for problem in self._problems():
            raise ValueError(problem)

    def _problems(self) -> Iterator[str]:
        for head, keys in USUAL.items():
            for key in keys if head != self.head else ():
                value = getattr(self, key)
                if value is not None:
                    said = str(value).lower() if isinstance(value, bool) else value
                    yield (
                        f"{key}={said}: belongs to strategy.head={head}, and this is "
                        f"{self.head}. Use strategy.head={head}, or strategy.{key}=null."
                    )
        if self.projection_dim is not None and self.projection == "none":
            yield (
                f"projection_dim={self.projection_dim}: there is no projection. "
                "Use strategy.projection=random, or strategy.projection_dim=null."
            )

    def own(self, key: str) -> Any:
        """A key of the head in use, or what is usual where it is null."""
        value = getattr(self, key)
        return USUAL[self.head][key] if value is None else value

    @property
    def num_projected(self) -> int | None:
        """How many features a projection makes; None where there is none."""
        return None if self.projection == "none" else self.projection_dim or USUAL_DIM
