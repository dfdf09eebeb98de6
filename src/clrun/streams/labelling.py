"""The key `labels` of a benchmark: which output a class has in which experience.

Free of torch: configurations are checked without it. `labels.py` gives rows their labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Labelling = Literal["global", "within_experience", "per_experience"]
"""`global` the number of the class, `within_experience` its place among the classes of its
experience, `per_experience` an output of that experience's own."""

UNKNOWN_CLASSES = {
    "online": "experiences are minibatches, which have no classes of their own",
    "blurry": "classes leak into experiences that are not tested on them",
    "repetition": "the seed decides which classes an experience has",
}
"""Scenarios in which an experience has no classes that are known beforehand, and why."""


def check_labelling(labels: Labelling, scenario: str) -> None:
    """Raise ValueError where classes of this scenario cannot be labelled so."""
    if labels == "global":
        return
    if scenario in UNKNOWN_CLASSES:
        raise ValueError(
            f"labels={labels}: with scenario={scenario} {UNKNOWN_CLASSES[scenario]}. "
            "Use labels=global, or scenario=nc."
        )
    if labels == "within_experience" and scenario == "nic":
        raise ValueError(
            f"labels={labels}: with scenario=nic a class comes back alone, where its place among "
            "the classes is another. Use labels=per_experience, or scenario=nc."
        )


def outputs(labels: Labelling, counts: Sequence[int]) -> int:
    """How many labels there are where experiences have so many classes each; not of `global`.

    Raises:
        ValueError: there would be one.
    """
    if labels == "per_experience":
        return sum(counts)
    if max(counts) == 1:
        raise ValueError(
            f"labels={labels}: every experience has one class, so that all labels would be the "
            "same. Use fewer experiences, or labels=global."
        )
    return max(counts)
