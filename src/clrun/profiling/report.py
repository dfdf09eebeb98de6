"""What a profile found, as the content of its summary.json."""

from __future__ import annotations

from typing import Any

from clrun.profiling.clocks import Phase, Spent

OTHER = "other"
"""The phase of what belongs to no other: Hydra's own work, the display."""
ORDER = ("start-up", "data", "setup", "train", "memory", "eval", "write", "trace", OTHER)


def measured_time(phases: dict[str, Phase]) -> dict[str, Any]:
    """All phases and parts. Seconds; `share` is of all wall seconds."""
    wall = sum(phase.wall for phase in phases.values())
    known = [name for name in ORDER if name in phases]
    names = [*known, *(name for name in phases if name not in ORDER)]
    return {
        **_seconds(wall, sum(phase.cpu for phase in phases.values())),
        "phases": {name: _phase(phases[name], wall) for name in names},
    }


def _phase(phase: Phase, wall: float) -> dict[str, Any]:
    parts = sorted(phase.parts.items(), key=lambda item: -item[1].wall)
    return {
        **_seconds(phase.wall, phase.cpu),
        "share": round(phase.wall / wall, 6) if wall else 0.0,
        "peak_rss_bytes": phase.peak_rss,
        "peak_device_bytes": phase.peak_device,
        "parts": {name: _part(spent) for name, spent in parts},
    }


def _part(spent: Spent) -> dict[str, Any]:
    return {"calls": spent.calls, **_seconds(spent.wall, spent.cpu)}


def _seconds(wall: float, cpu: float) -> dict[str, float]:
    return {"wall_seconds": round(wall, 6), "cpu_seconds": round(cpu, 6)}
