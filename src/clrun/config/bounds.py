"""Names for the bounds that configuration fields carry; pydantic checks them (config.check)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

Natural = Annotated[int, Field(ge=0)]
"""0, 1, 2, ..."""
Count = Annotated[int, Field(ge=1)]
"""1, 2, 3, ..."""
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
"""In [0, 1)."""
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
"""In (0, 1)."""


def _on_or_off(value: Any) -> Any:
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_on_or_off)]
"""On or off, true or false: YAML reads them alike, and Hydra's command line does not."""
