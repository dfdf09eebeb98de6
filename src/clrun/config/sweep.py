"""The jobs of a sweep, from Hydra's override grammar."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


def points(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job: the product of all swept values, the last one fastest."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    [batch] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [tuple(job) for job in batch]
