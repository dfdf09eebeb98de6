"""The folder of a sweep: where everything of it is."""

from __future__ import annotations

import os
from pathlib import Path

from clrun.disk.files import storage_errors

MULTIRUN = "multirun.yaml"
"""What a sweep was composed of, as every Hydra app saves it"""
MANIFEST, RECORD = "sweep.jsonl", "sweep.json"
TABLE, INDEX = "sweep.csv", "index.sqlite"


class SweepFolder:
    """Names in a sweep's folder. Nothing is made before it is asked for.

    Jobs have the folders that the manifest names; what workers need among themselves lies in
    `.sweep/`, and may be removed once every job is done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest(self) -> Path:
        """One line for each job; see `clrun.sweep.manifest`."""
        return self.path / MANIFEST

    @property
    def record(self) -> Path:
        """What the sweep is as a whole; see `clrun.sweep.record`."""
        return self.path / RECORD

    @property
    def table(self) -> Path:
        """A row for each job; see `clrun.sweep.csv_text`."""
        return self.path / TABLE

    @property
    def index(self) -> Path:
        """The same as a data base; see `clrun.sweep.index`."""
        return self.path / INDEX

    def job(self, folder: str) -> Path:
        """The run folder of a job."""
        return self.path / folder

    def inner(self, *names: str) -> Path:
        """A file in `.sweep/`, whose folder is made."""
        path = self.path.joinpath(".sweep", *names)
        with storage_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def inner_names(self, name: str) -> frozenset[str]:
        """What lies in a folder of `.sweep/`; nothing where there is none, and none is made."""
        try:
            return frozenset(os.listdir(self.path / ".sweep" / name))
        except OSError:
            return frozenset()

    def lease(self, number: int) -> Path:
        """The file whose lock is held by the worker that has this job."""
        return self.inner("leases", f"{number:06}.lock")

    def outcome(self, number: int) -> Path:
        """What became of this job, once that is known; see `clrun.sweep.outcomes`."""
        return self.inner("outcomes", f"{number:06}.json")


def is_sweep(path: Path) -> bool:
    """Whether this is the folder of a sweep with a manifest."""
    return (path / MANIFEST).is_file()
