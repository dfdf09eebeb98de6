"""The whole stream as one experience."""

from __future__ import annotations

import torch

from clrun.streams.experience import Benchmark, Experience, Patterns


def merged(benchmark: Benchmark) -> Experience:
    """All rows of a benchmark in one experience, for strategies that learn the stream at once."""
    every = benchmark.experiences
    return Experience(
        index=0,
        classes=tuple(sorted({c for experience in every for c in experience.classes})),
        task_label=0,
        train=_together([experience.train for experience in every]),
        test=_together([experience.test for experience in every]),
    )


def _together(parts: list[Patterns]) -> Patterns:
    return Patterns(torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts]))
