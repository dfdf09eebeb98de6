"""Names for the bounds that configuration fields carry; pydantic checks them (config.check)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

Natural = Annotated[int, Field(ge=0)]
"""0, 1, 2, ..."""
Count = Annotated[int, Field(ge=1)]
"""1, 2, 3, ..."""
Rows = Annotated[int, Field(ge=1, le=10**9)]
"""Rows of a minibatch, which has no more than there are; beyond that only numbers overflow."""
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
"""In [0, 1)."""
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
"""In (0, 1)."""


def _on_or_off(value: Any) -> Any:
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_on_or_off)]
"""On or off, true or false: YAML reads them alike, and Hydra's command line does not."""


def _expanded(value: Any) -> Any:
    """A path with the home folder for its ~."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("names no file or folder")
    path = os.path.expanduser(value)
    if path.startswith("~"):
        user = path.partition("/")[0]
        raise ValueError(f"there is no user of that name; a folder {user} is ./{path}")
    return path


def _absolute(value: Any) -> Any:
    path = _expanded(value)
    return str(Path(path).absolute()) if isinstance(path, str) else path


FilePath = Annotated[str, BeforeValidator(_absolute)]
"""A file or folder that a run reads. Absolute from the moment it is checked, so that the record
means the same data wherever it is read again."""
OutputPath = Annotated[str, BeforeValidator(_expanded)]
"""Where a run writes: relative to where it is started, also when a record is run again."""

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _bytes(value: Any) -> Any:
    """Bytes from "64MB", "1.5 GB" or "64MiB"; what is no text, as it is."""
    if not isinstance(value, str):
        return value
    written = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", value.strip().lower())
    if not written:
        raise ValueError("must be a number of bytes, at least 1, e.g. 64MB")
    number, unit, binary = written.groups()
    power = 1024 ** "_kmgt".index(unit or "_") if binary else UNITS[unit]
    return round(float(number) * power)


Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=1)]
"""At least one; a number, or in words as 64MB and 1.5GiB."""
