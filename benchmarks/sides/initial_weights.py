"""The initial weights of a case, as clrun makes them, for all sides."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from sides.clrun import prepared


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Write the case's weights file."""
    with tempfile.TemporaryDirectory() as folder:
        model = prepared(case, folder).model
    np.savez(case["weights_file"], **{name: t.numpy() for name, t in model.state_dict().items()})
    return {}
