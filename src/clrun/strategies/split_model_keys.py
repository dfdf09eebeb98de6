"""The keys that decide where AR1 cuts a model, what of it learns and how it is normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from clrun.config.bounds import NonNegative

UpdateRate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
"""Weight of a minibatch in running statistics."""


@dataclass(frozen=True, kw_only=True)
class SplitModelKeys:
    """The fields of AR1's `Config` that concern its model."""

    cuts_itself: ClassVar[bool] = True
    latent_layer_num: Annotated[int, Field(ge=0, le=27)]
    latent_layer: str | None
    freeze_below_layer: str | None
    freeze_from: Literal[0, 1, "never"]
    norm: Literal["brn", "bn"]
    init_update_rate: UpdateRate
    inc_update_rate: UpdateRate
    max_r_max: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    max_d_max: NonNegative
    inc_step: NonNegative
