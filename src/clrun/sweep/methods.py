"""The methods in folders that somebody names: runs, sweeps, folders of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clrun.errors import ConfigError
from clrun.records.alike import Method, alike
from clrun.records.outcome import COMPLETED, unseeded
from clrun.records.past_run import PastRun, read_run, runs_in
from clrun.records.run_folder import run_status
from clrun.sweep.folder import SweepFolder, is_sweep
from clrun.sweep.listed import listed
from clrun.sweep.manifest import each_job
from clrun.sweep.record import swept_keys


@dataclass(frozen=True, kw_only=True)
class Methods:
    """What was found, and what of it cannot be shown."""

    shown: tuple[Method, ...]
    """those with a completed run, or the one run that was named"""
    left_out: int = 0
    """runs that did not complete"""
    absent: int = 0
    """jobs of a sweep that were not begun"""
    damaged: int = 0
    """completed runs whose log cannot be read"""

    def notes(self) -> list[str]:
        """A sentence for what is left out, so that nothing is missing in silence."""
        counts = (
            (self.left_out, "did not complete"),
            (self.absent, "not begun"),
            (self.damaged, "cannot be read"),
        )
        said = [f"{count} {what}" for count, what in counts if count]
        return [f"left out of {self.total} runs: {', '.join(said)}."] if said else []

    @property
    def total(self) -> int:
        """Runs that there are or are to be."""
        return sum(len(method.runs) for method in self.shown) + sum(
            (self.left_out, self.absent, self.damaged)
        )


def places_in(folder: str, verb: str) -> list[Path]:
    """The run or sweep in a folder that was named to this verb, or the nearest ones below it.

    Raises:
        ConfigError: there is none.
    """
    if folder and is_sweep(Path(folder)):
        return [Path(folder)]
    runs = runs_in(folder, verb)
    if runs == [Path(folder)]:  # a job of a sweep that is named itself
        return runs
    return list(dict.fromkeys(run.parent if is_sweep(run.parent) else run for run in runs))


def methods_in(folders: Sequence[str], verb: str) -> Methods:
    """The methods in the folders that were named to this verb.

    Those of one sweep are its points, with the values that were typed; of anything else, the runs
    that differ in their seeds alone.

    Raises:
        ConfigError: a folder holds no run, or one that cannot be read.
    """
    if len(folders) == 1 and folders[0] and is_sweep(Path(folders[0])):
        return _of_sweep(Path(folders[0]))
    places = list(dict.fromkeys(place for folder in folders for place in runs_in(folder, verb)))
    if len(places) == 1:
        return Methods(shown=tuple(alike([read_run(places[0])])))
    found = Counted()
    done = [run for run in map(found.completed, places) if run is not None]
    return found.methods(alike(done))


def _of_sweep(path: Path) -> Methods:
    groups: dict[tuple[tuple[str, str], ...], list[PastRun]] = defaultdict(list)
    folder, found, swept, references = SweepFolder(path), Counted(), swept_keys(path), set()
    for job in each_job(path):
        values = tuple(unseeded(listed(job, swept).values).items())
        if job.is_reference:
            references.add(values)
        run = found.completed(folder.job(job.folder))
        if run is not None:
            groups[values].append(run)
    return found.methods(
        [
            Method(values=dict(values), runs=tuple(runs), is_reference=values in references)
            for values, runs in groups.items()
        ]
    )


class Counted:
    """Counts the runs that are read, and those that are not."""

    def __init__(self) -> None:
        self.left_out = self.absent = self.damaged = 0

    def completed(self, folder: Path) -> PastRun | None:
        """The completed run in a folder; None where there is none that can be read."""
        status = run_status(folder)
        if status is None:
            self.absent += 1
        elif status != COMPLETED:
            self.left_out += 1
        else:
            try:
                return read_run(folder)
            except ConfigError:
                self.damaged += 1
        return None

    def methods(self, shown: Sequence[Method]) -> Methods:
        """These methods with the counts."""
        return Methods(
            shown=tuple(shown),
            left_out=self.left_out,
            absent=self.absent,
            damaged=self.damaged,
        )
