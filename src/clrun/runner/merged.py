"""The whole stream as one experience."""

from __future__ import annotations

from clrun.images.patterns import joined_patterns
from clrun.streams.experience import Benchmark, Experience


def merged(benchmark: Benchmark) -> Experience:
    """All rows of a benchmark in one experience, for strategies that learn the stream at once."""
    every = benchmark.experiences
    return Experience(
        index=0,
        classes=tuple(sorted({c for experience in every for c in experience.classes})),
        task_label=0,
        train=joined_patterns([experience.train for experience in every]),
        test=joined_patterns([experience.test for experience in every]),
    )
