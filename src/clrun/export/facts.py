"""What an exported file says of itself: class names, how images are given, where it comes from."""

from __future__ import annotations

import json
from typing import Any

from clrun.disk.secrets import hidden
from clrun.export.whole import INPUT, OUTPUTS, resized_to
from clrun.runner.loading import TrainedModel

CHANNELS = {1: "grey", 3: "red, green, blue"}


def facts_of(trained: TrainedModel) -> dict[str, str]:
    """Name -> JSON, for the metadata of any format: `class_names` and `clrun`."""
    facts = trained.facts
    channels, height, width = facts.image_shape
    side = resized_to(trained)
    provenance: dict[str, Any] = {
        "run": facts.label,
        "config_hash": facts.config_hash,
        "seed": facts.seed,
        "model": facts.model.option,
        "benchmark": facts.benchmark.option,
        "model_sha256": facts.sha256,
        "versions": facts.versions,
        "input": {
            "name": INPUT,
            "type": "uint8",
            "layout": "batch, channels, height, width",
            "channels": CHANNELS.get(channels, f"{channels} channels, as the data have them"),
            "shape": [channels, height, width],
            "other_sizes": "refused" if side is None else "resized: bilinear, antialiased",
        },
        "normalisation": {"mean": facts.mean, "std": facts.std, "of": "pixels in [0, 1]"},
        "outputs": list(OUTPUTS),
        "computed_in": "float32",
    }
    texts = {"class_names": facts.class_names, "clrun": hidden(provenance)}
    return {name: json.dumps(value, allow_nan=False) for name, value in texts.items()}
