"""Words for the sides of a data set, as folders and tables write them."""

from __future__ import annotations

import re
from typing import Literal

Side = Literal["train", "validation", "test"]

SIDE_OF: dict[str, Side] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
ADDED = re.compile(r"[ _-]?(set|split|data|images?|imgs)?[ _-]?\d*")
"""What may follow such a word: training_set, test1, val2017."""


def side_of(name: str) -> Side | None:
    """The side that a name means, in any case; None if it means none."""
    text = name.strip().casefold()
    for word, side in SIDE_OF.items():
        if text.startswith(word) and ADDED.fullmatch(text[len(word) :]):
            return side
    return None
