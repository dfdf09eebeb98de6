"""The run of a unit, from the beginning that it shares with others, or up to its end. With torch:
for the processes of jobs alone."""

from __future__ import annotations

from typing import Any

from clrun.records.run_folder import RunFolder
from clrun.runner.prepare import Prepared
from clrun.runner.run import run, run_until
from clrun.runner.shared import Beginning
from clrun.sweep.unit import Unit


def run_part(
    unit: Unit, prepared: Prepared, folder: RunFolder, resumed: dict[str, Any] | None = None
) -> None:
    """Run a unit in its folder; `resumed` as for `run`.

    Raises:
        ClrunError: see `run` and `run_until`.
    """
    shared = beginning(unit)
    if unit.until is None:
        run(prepared, folder, resumed=resumed, shared=shared, is_latest=False)
    else:
        run_until(unit.until, prepared, folder, resumed=resumed, shared=shared)


def beginning(unit: Unit) -> Beginning | None:
    """Where a run of this unit begins: where the latest of what it needs ended that is there.

    One that failed is passed over, and the jobs that need it train that part themselves: whether
    they fail too is for them to find out.
    """
    needs = unit.needs
    while needs is not None:
        found = Beginning(needs.folder)
        if found.missing() is None:
            return found
        needs = needs.needs
    return None
