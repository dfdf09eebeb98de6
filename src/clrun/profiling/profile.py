"""A run under measurement: what is timed and traced, and the files that tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from clrun.config.schema import component_class
from clrun.profiling.clocks import Clocks, Phase
from clrun.profiling.imports import TimedImports
from clrun.profiling.operators import Operator, as_csv, operators
from clrun.profiling.peaks import Sampler
from clrun.profiling.points import (
    PLUGIN_METHODS,
    RUNNING,
    Point,
    exchange,
    measured,
    of_class,
)
from clrun.profiling.window import Tracer, Window
from clrun.records.files import storage_errors, write_json, write_text
from clrun.runner.prepare import Prepared

OTHER = "other"
"""The phase of what belongs to no other: Hydra's own work, the display."""
ORDER = ("start-up", "data", "setup", "train", "memory", "eval", "write", "trace", OTHER)


class Profile:
    """The measurements of one run."""

    def __init__(self, prepared: Prepared, window: Window, clocks: Clocks) -> None:
        self.prepared, self.clocks = prepared, clocks
        epochs = prepared.config.nodes["strategy"].config.train_epochs
        self.tracer = Tracer(window, clocks, prepared.device.torch, epochs)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """The run inside is timed phase by phase and traced in the window. Changes no numbers."""
        strategy = component_class(self.prepared.config.nodes["strategy"].target)
        with measured(self._points(), self.clocks), ExitStack() as back:
            exchange(back, strategy, "learn", self.tracer.learning(strategy.learn))
            yield

    def watch_device(self, sampler: Sampler) -> None:
        """Have the accelerator's memory sampled too, if the run has one."""
        device = self.prepared.device.torch
        if device.type == "cuda":
            sampler.device = (
                partial(torch.cuda.memory_allocated, device),
                partial(torch.cuda.max_memory_allocated, device),
            )

    def _points(self) -> list[Point]:
        """The fixed ones and those of the classes that the configuration chose."""
        p = self.prepared
        points = [
            *RUNNING,
            *of_class(type(p.evaluation), ["scores"], "eval", "phase"),
            *of_class(type(p.selection), ["make_sorted_indices"], "selection", "part"),
        ]
        for node in p.config.plugins:
            points += of_class(component_class(node.target), PLUGIN_METHODS, "plugins", "whole")
        return list(dict.fromkeys(points))

    @cached_property
    def operators(self) -> list[Operator]:
        """Those of the traced updates, once the run is over."""
        return operators(self.tracer.events())

    def save(self, folder: Path, imports: TimedImports) -> dict[str, Any]:
        """Write the files of `profile/` in the run folder; the summary."""
        place = folder / "profile"
        with storage_errors(place):
            place.mkdir(exist_ok=True)
        if self.tracer.steps:
            self.tracer.save(place / "trace.json.gz")
            write_text(place / "operators.csv", as_csv(self.operators))
        told = self.summary(imports)
        write_json(place / "summary.json", told)
        return told

    def summary(self, imports: TimedImports) -> dict[str, Any]:
        """The content of summary.json. Seconds; `share` is of all wall seconds."""
        phases = self.clocks.phases
        wall = sum(phase.wall for phase in phases.values())
        return {
            "schema": 1,
            "device": self.prepared.device.name,
            "threads": self.prepared.hardware[1],
            "wall_seconds": round(wall, 6),
            "cpu_seconds": round(sum(phase.cpu for phase in phases.values()), 6),
            "phases": {name: _told(phases[name], wall) for name in ORDER if name in phases},
            "imports": {"modules": imports.modules(), "packages": imports.packages()},
            "trace": {
                "experience": self.tracer.window.experience,
                "first_update": self.tracer.first,
                "updates": self.tracer.steps,
            },
        }


def _told(phase: Phase, wall: float) -> dict[str, Any]:
    parts = sorted(phase.parts.items(), key=lambda item: -item[1].wall)
    return {
        "wall_seconds": round(phase.wall, 6),
        "cpu_seconds": round(phase.cpu, 6),
        "share": round(phase.wall / wall, 6) if wall else 0.0,
        "peak_rss_bytes": phase.peak_rss,
        "peak_device_bytes": phase.peak_device,
        "parts": {
            name: {
                "calls": spent.calls,
                "wall_seconds": round(spent.wall, 6),
                "cpu_seconds": round(spent.cpu, 6),
            }
            for name, spent in parts
        },
    }
