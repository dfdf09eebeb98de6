"""The initial weights of a case, as clrun would make them: weights.py CASE.json OUT.npz."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np
from clrun_side import overrides
from measure import read_case

import clrun
from clrun.runner.prepare import build
from clrun.seeds import isolated
from clrun.streams.experience import StreamShape


def main() -> None:
    case = read_case()
    data: dict[str, Any] = case["data"]
    shape = StreamShape(
        channels=data["channels"],
        height=data["side"],
        width=data["side"],
        num_classes=data["classes"],
        num_experiences=data["experiences"],
    )
    with tempfile.TemporaryDirectory() as folder:
        config = clrun.compose(overrides(case, folder))
    with isolated(case["seed"], "weights"):
        model = build(config.nodes["model"], shape)
    np.savez(sys.argv[2], **{name: array.numpy() for name, array in model.state_dict().items()})


if __name__ == "__main__":
    main()
