"""What is shown of a run or a sweep in one row of a list: that takes looking into its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from clrun.records.log_tail import LogTail
from clrun.records.results_end import read_numbers
from clrun.records.run_folder import RUNNING
from clrun.sweep.listed import sizes
from clrun.sweep.outcomes import COMPLETED
from clrun.watch.entries import Entry

HEADLINES = ("acc_final", "acc_pooled")
"""What a run's accuracy is: the first of these that has a value."""


class Line(NamedTuple):
    """A run or a sweep as a list shows it."""

    entry: Entry
    strategy: str
    benchmark: str
    seed: str
    accuracy: float | None
    """of a run that is not completed over the experiences so far; None for a sweep"""
    place: str
    """e.g. 2/5: the experience that a run which is not completed came to"""
    seconds: float | None
    bytes: int

    def plain(self) -> dict[str, Any]:
        """All of it, for JSON."""
        entry = self.entry
        alone = {"counts": dict(entry.counts)} if entry.is_sweep else {"reason": entry.reason}
        return {
            "kind": "sweep" if entry.is_sweep else "run",
            "folder": str(entry.folder),
            "status": entry.status,
            **alone,
            "strategy": self.strategy,
            "benchmark": self.benchmark,
            "seed": self.seed,
            "name": entry.name or None,
            "accuracy": self.accuracy,
            "place": self.place or None,
            "started": entry.started or None,
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


def line(entry: Entry, now: datetime | None = None) -> Line:
    """What is shown of a run or a sweep."""
    accuracy, place, seconds = None, "", entry.seconds
    if not entry.is_sweep:
        if entry.status == COMPLETED:
            metrics = read_numbers(entry.folder).metrics
            known = (metrics.get(key) for key in HEADLINES)
            accuracy = next((value for value in known if value is not None), None)
        else:
            accuracy, place, reached = _so_far(entry.folder, entry.config)
            seconds = reached if seconds is None else seconds
        if entry.status == RUNNING:
            seconds = _since(entry.started, now or datetime.now(UTC))
    return Line(
        entry=entry,
        strategy=_values(entry, "strategy"),
        benchmark=_values(entry, "benchmark"),
        seed=_values(entry, "seed"),
        accuracy=accuracy,
        place=place,
        seconds=seconds,
        bytes=bytes_in(entry.folder),
    )


def bytes_in(folder: Path) -> int:
    """Bytes of all files in a folder and below; links are not followed."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_in(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    except OSError:  # removed while we look, or somebody else's
        return total
    return total


def _so_far(folder: Path, config: Mapping[str, Any]) -> tuple[float | None, str, float | None]:
    """(accuracy, experience of how many, seconds) by the end of a run's log."""
    end = LogTail(folder / "metrics.jsonl").read()
    if end is None or end.experience is None:
        return None, "", None
    total = sizes(config)[1] or end.experiences
    place = f"{end.experience + 1}/{total}" if total else str(end.experience + 1)
    return end.accuracy, place, end.seconds


def _since(started: str, now: datetime) -> float | None:
    try:
        moment = datetime.fromisoformat(started)
        return max((now - moment).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _values(entry: Entry, key: str) -> str:
    """A key's value, or the few that a sweep has of it, or how many these are."""
    found = entry.values(key)
    text = ",".join(found)
    return text if len(found) <= 3 and len(text) <= 24 else f"{len(found)} values"
