"""The methods in folders that somebody names: runs, sweeps, folders of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clrun.records.alike import Method, alike
from clrun.records.outcome import COMPLETED, unseeded
from clrun.records.past_run import PastRun, read_run, runs_in
from clrun.sweep.folder import SweepFolder, is_sweep
from clrun.sweep.manifest import each_job


@dataclass(frozen=True, kw_only=True)
class Methods:
    """What was found, and what of it cannot be shown."""

    shown: tuple[Method, ...]
    """those with a completed run, or the one run that was named"""
    left_out: int = 0
    """runs that did not complete"""
    absent: int = 0
    """jobs of a sweep that were not begun"""

    def notes(self) -> list[str]:
        """A sentence for what is left out, so that nothing is missing in silence."""
        counts = [(self.left_out, "did not complete"), (self.absent, "not begun")]
        said = [f"{count} {what}" for count, what in counts if count]
        return [f"left out of {self.total} runs: {', '.join(said)}."] if said else []

    @property
    def total(self) -> int:
        """Runs that there are or are to be."""
        return sum(len(method.runs) for method in self.shown) + self.left_out + self.absent


def methods_in(folders: Sequence[str], verb: str) -> Methods:
    """The methods in the folders that were named to this verb.

    Those of one sweep are its points, with the values that were typed; of anything else, the runs
    that differ in their seeds alone.

    Raises:
        ConfigError: a folder holds no run, or one that cannot be read.
    """
    if len(folders) == 1 and folders[0] and is_sweep(Path(folders[0])):
        return _of_sweep(Path(folders[0]))
    places = dict.fromkeys(place for folder in folders for place in runs_in(folder, verb))
    runs = [read_run(place) for place in places]
    if len(runs) == 1:
        return Methods(shown=tuple(alike(runs)))
    done = [run for run in runs if run.status == COMPLETED]
    return Methods(shown=tuple(alike(done)), left_out=len(runs) - len(done))


def _of_sweep(path: Path) -> Methods:
    groups: dict[tuple[tuple[str, str], ...], list[PastRun]] = defaultdict(list)
    folder, left_out, absent = SweepFolder(path), 0, 0
    for job in each_job(path):
        place = folder.job(job.folder)
        if not (place / "run.json").exists():
            absent += 1
            continue
        run = read_run(place)
        if run.status == COMPLETED:
            groups[tuple(unseeded(job.values).items())].append(run)
        else:
            left_out += 1
    shown = (Method(values=dict(values), runs=tuple(runs)) for values, runs in groups.items())
    return Methods(shown=tuple(shown), left_out=left_out, absent=absent)
