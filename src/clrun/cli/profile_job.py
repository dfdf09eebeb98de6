"""A run under measurement, and the files it leaves."""

from __future__ import annotations

import argparse
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from clrun.cli.job import ready_run, run_in_folder
from clrun.config.bases import component
from clrun.config.compose import Composed
from clrun.disk.files import storage_errors, write_json, write_text
from clrun.errors import ConfigError
from clrun.profiling.clocks import Clocks
from clrun.profiling.operators import Operator, as_csv, operators
from clrun.profiling.peaks import Sampler
from clrun.profiling.report import measured_time
from clrun.profiling.window import Tracer, Window
from clrun.runner.prepare import Prepared


class ProfiledRun:
    """A single run with its measurements. They change none of its numbers.

    Raises:
        ConfigError: as for any run; or --experience names one that the stream does not have.
    """

    def __init__(self, composed: Composed, arguments: argparse.Namespace, clocks: Clocks) -> None:
        self._tree, config = composed
        self._prepared = ready_run(config)
        window, device = _window(arguments, self._prepared), self._prepared.device.torch
        length = self._prepared.keys.updates
        self.clocks, self.tracer = clocks, Tracer(window, clocks, device, length)
        clocks.trace = self.tracer.updates
        self.folder = Path()

    def run(self) -> None:
        """Run as any other run."""
        self.folder = run_in_folder(self._prepared, self._tree)

    def watch_device(self, sampler: Sampler) -> None:
        """Have the accelerator's memory sampled too, if the run has one."""
        device = self._prepared.device.torch
        if device.type == "cuda":
            sampler.device = (
                partial(torch.cuda.memory_allocated, device),
                partial(torch.cuda.max_memory_allocated, device),
            )

    @cached_property
    def operators(self) -> list[Operator]:
        """The operators of the traced updates, once the run is over."""
        return operators(self.tracer.events())

    def save(self) -> dict[str, Any]:
        """Write the files of `profile/` in the run folder; the summary."""
        place = self.folder / "profile"
        with storage_errors(place):
            place.mkdir(exist_ok=True)
            if self.tracer.steps:
                self.tracer.save(place / "trace.json.gz")
        if self.tracer.steps:
            write_text(place / "operators.csv", as_csv(self.operators))
        summary = self._summary()
        write_json(place / "summary.json", summary)
        return summary

    def _summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        name, threads = self._prepared.hardware
        return {
            "schema": 2,
            "device": name,
            "threads": threads,
            **measured_time(self.clocks.phases),
            "trace": {
                "experience": self.tracer.window.experience,
                "first_update": self.tracer.first,
                "updates": self.tracer.steps,
            },
        }


def _window(arguments: argparse.Namespace, prepared: Prepared) -> Window:
    learnt_at_once = component(prepared.config.nodes["strategy"]).whole_stream
    last = (1 if learnt_at_once else len(prepared.data)) - 1
    experience = last if arguments.experience is None else arguments.experience
    if experience > last:
        raise ConfigError(f"--experience={experience}: the last one of this stream is {last}.")
    return Window(
        experience,
        arguments.warm_up,
        arguments.steps,
        arguments.shapes,
        arguments.memory,
        arguments.stacks,
    )
