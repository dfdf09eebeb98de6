"""A value as it is typed on the command line, in Hydra's grammar."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from clrun.config.run_config import quoted


def override_text(value: Any) -> str:
    """The text that Hydra reads as this value; text in it stays text."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{k}:{override_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(override_text, value))}]"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)
