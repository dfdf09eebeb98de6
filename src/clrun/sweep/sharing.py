"""The run of a unit, from the beginning that it shares with others, or up to its end. With torch:
for the processes of jobs alone."""

from __future__ import annotations

import json
from typing import Any

from clrun.records.identity import code_of
from clrun.records.run_folder import RunFolder
from clrun.records.run_record import versions
from clrun.runner.prepare import Prepared
from clrun.runner.run import run, run_until
from clrun.runner.shared import Beginning
from clrun.strategies.shared_latents import SharedLatents
from clrun.sweep.unit import Unit


def run_part(
    unit: Unit, prepared: Prepared, folder: RunFolder, resumed: dict[str, Any] | None = None
) -> None:
    """Run a unit in its folder; `resumed` as for `run`.

    Raises:
        ClrunError: see `run` and `run_until`.
    """
    shared, latents = beginning(unit), latents_of(unit, prepared)
    if unit.until is None:
        run(prepared, folder, resumed=resumed, shared=shared, latents=latents, is_latest=False)
    else:
        run_until(unit.until, prepared, folder, resumed=resumed, shared=shared, latents=latents)


def latents_of(unit: Unit, prepared: Prepared) -> SharedLatents | None:
    """Where latents are kept, for runs that compute them alike."""
    if unit.latents is None:
        return None
    config = prepared.config
    device, model = config.nodes["device"], config.nodes["model"]
    keys = (device.target, device.values, model.target, model.values)  # a forward may read any
    alike = (*keys, prepared.machine, versions(), code_of(config))
    return SharedLatents(unit.latents, json.dumps(alike, sort_keys=True))


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
