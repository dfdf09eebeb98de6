"""The key `normalize` of a benchmark. Free of torch: configurations are checked without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from clrun.config.keys import Known

Normalize = bool | Literal["data", "model"]
"""By which mean and deviation: `data` (or true) those that the benchmark knows of its images,
`model` those that the pretrained weights were trained with, false none."""


def without_weights(normalize: Normalize, known: Known) -> Iterator[str]:
    """A line where images are to be normalised for weights and there are none."""
    if normalize == "model" and "model" in known.nodes and not known.value("model.pretrained"):
        yield (
            "benchmark.normalize=model: without model.pretrained there are no weights to "
            "normalise for. Use benchmark.normalize=data, or model.pretrained=true."
        )
