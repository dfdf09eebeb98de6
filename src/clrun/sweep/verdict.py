"""What a worker makes of the end of a unit's process: over, or gone on with. No torch here."""

from __future__ import annotations

from typing import NamedTuple

from clrun.records.outcome import holds_completed
from clrun.sweep.endings import SIGNALLED, ending, signal_name
from clrun.sweep.messages import Done
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED
from clrun.sweep.record import SweepOptions
from clrun.sweep.running import SAVE_SECONDS, Running
from clrun.sweep.unit import Unit

DIED = "died"
"""It goes on at once, in another process."""

MOST_DEATHS = 10
"""So many workers in a row may die while they run a unit, which need not be its doing, or as many
as `retries` where that is more; then it has failed."""


class Verdict(NamedTuple):
    """How a unit stands."""

    status: str
    """completed, failed, interrupted, or `DIED`"""
    reason: str | None = None
    """of what is not completed, in one line"""


def before_it_runs(running: Running, options: SweepOptions) -> Verdict | None:
    """How a unit stands that need not, or shall not, be run; None where it shall."""
    if holds_completed_run(running.unit):
        return Verdict(COMPLETED)
    if running.deaths > max(options.retries, MOST_DEATHS):
        return Verdict(FAILED, f"its worker died while it ran, {running.deaths} times in a row")
    return None


def of_its_end(
    running: Running, done: Done, options: SweepOptions, passed_on: int | None
) -> Verdict:
    """How a unit stands whose process has ended; `passed_on`: the signal that it was given."""
    code, reason = done.code, done.reason or ending(done.code)
    is_signalled = code < 0 or code > SIGNALLED
    if holds_completed_run(running.unit) or (running.unit.job is None and code == 0):
        return Verdict(COMPLETED)
    if running.is_late:
        limit = f"ran longer than sweep.time_limit={options.time_limit:g} seconds"
        return Verdict(FAILED, limit)
    if is_signalled and passed_on is not None:
        if running.is_killed:
            asked = signal_name(passed_on)
            reason = f"did not end within {SAVE_SECONDS:g} seconds of {asked}, and was killed"
        return Verdict(INTERRUPTED, reason)
    if is_signalled and running.attempt <= options.retries:
        return Verdict(DIED, reason)
    if code == 0:
        return Verdict(FAILED, "left with exit code 0 before its run was completed")
    times = f", {running.attempt} times" if is_signalled and running.attempt > 1 else ""
    return Verdict(FAILED, f"{reason}{times}")


def holds_completed_run(unit: Unit) -> bool:
    """Whether the run of a job is completed, whatever is known of its process."""
    return unit.job is not None and holds_completed(unit.folder, unit.job.hash)
