"""The keys that every strategy has: how it optimises, for how long, when it is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from clrun.config.bounds import Count, Fraction, NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class SharedKeys:
    """The fields of a strategy's `Config` that do not depend on the strategy."""

    lr: Positive
    momentum: Fraction
    l2: NonNegative
    train_epochs: Count
    train_mb_size: Count
    eval_mb_size: Count
    optimizer: Literal["sgd", "adam", "adamw"]
    criterion: Literal["cross_entropy", "binary_cross_entropy"]
    plugins: list[dict[str, Any]]
    eval_every: Annotated[int, Field(ge=-1)]
