"""The runs that a run is shown beside: another one, and the floor and the ceiling of its stream."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clrun.config.option_file import read_option
from clrun.errors import ConfigError
from clrun.records.past_run import PastRun, read_run
from clrun.records.run_folder import is_job
from clrun.report.defaults import NOT_OF_A_RUN

OF_A_STRATEGY = ("strategy", "storage_policy", "selection")
"""Groups that another strategy chooses for itself."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Runs that are shown beside one; None where there is none."""

    against: PastRun | None = None
    naive: PastRun | None = None
    joint: PastRun | None = None

    def against_name(self, run: PastRun) -> str:
        """What the other run is called beside this one: its folder, where both are called alike."""
        if self.against is None:
            return ""
        name = self.against.name or self.against.label
        return self.against.folder.name if name == (run.name or run.label) else name


def beside(
    folder: Path,
    *,
    against: Path | None = None,
    naive: Path | None = None,
    joint: Path | None = None,
) -> Beside:
    """The runs that were named; naive and joint ones are also looked for in the run's sweep."""
    return Beside(
        against=None if against is None else read_run(against),
        naive=_reference(folder, "naive", naive),
        joint=_reference(folder, "joint", joint),
    )


def reference_command(run: PastRun, strategy: str) -> str:
    """The line that makes a naive or a joint run of the same stream, with what they have in
    common."""
    try:
        keys = read_option("strategy", strategy).keys
    except ConfigError:
        keys = {}
    words = ["clrun", f"strategy={strategy}"]
    for override in run.overrides:
        key = override.partition("=")[0].lstrip("+~")
        group, _, name = key.partition(".")
        if key in NOT_OF_A_RUN or group == "hydra":
            continue
        if group not in OF_A_STRATEGY or (group == "strategy" and name in keys):
            words.append(override)
    return shlex.join(words)


def _reference(folder: Path, strategy: str, named: Path | None) -> PastRun | None:
    if named is not None:
        return read_run(named)
    return _in_sweep(folder, strategy) if is_job(folder) else None


def _in_sweep(folder: Path, strategy: str) -> PastRun | None:
    """The completed run of this strategy on the same stream with the same seed, of a sweep."""
    own = read_run(folder)
    for place in sorted(folder.parent.glob(f"{strategy}-*-s{own.seed}-*")):
        try:
            other = read_run(place)
        except ConfigError:
            continue
        if place != folder and _is_reference(own, other, strategy):
            return other
    return None


def _is_reference(own: PastRun, other: PastRun, strategy: str) -> bool:
    same: Sequence[bool] = (
        other.options.get("strategy") == strategy,
        other.status == "completed",
        other.seed == own.seed,
        other.measured.fingerprint is not None,
        other.measured.fingerprint == own.measured.fingerprint,
        other.measured.measurements.experience_classes
        == own.measured.measurements.experience_classes,
    )
    return all(same)
