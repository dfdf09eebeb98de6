"""What the keys alone say against scoring with task ids. Read without torch."""

from __future__ import annotations

from collections.abc import Iterator

from clrun.config.keys import Known
from clrun.streams.split_keys import ALL_CLASSES

WITHOUT = "Use eval.task_ids=false"


def without_own_outputs(known: Known) -> Iterator[str]:
    """A line where the keys alone say that an experience has no outputs of its own."""
    labels, scenario = known.value("benchmark.labels"), known.value("benchmark.scenario")
    if known.is_online:
        yield (
            f"eval.task_ids=true: with benchmark.scenario={scenario} an experience is a minibatch, "
            f"and no task. {WITHOUT}, or benchmark.scenario=nc."
        )
    elif labels == "within_experience":
        yield (
            "eval.task_ids=true: with benchmark.labels=within_experience all experiences share "
            f"their outputs, so that knowing it says nothing. {WITHOUT}, or "
            "benchmark.labels=per_experience."
        )
    elif labels == "global" and scenario in ALL_CLASSES:
        yield (
            f"eval.task_ids=true: with benchmark.scenario={scenario} every experience has all "
            f"classes, so that knowing it says nothing. {WITHOUT}, or "
            "benchmark.labels=per_experience."
        )
