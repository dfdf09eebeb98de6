"""The loggers of a run: what it records goes to each, and none of them can stop it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from clrun.config.foreign import in_a_line
from clrun.config.run_config import RunConfig
from clrun.disk.opening import open_regular
from clrun.disk.secrets import hidden
from clrun.loggers.logger import Line, LoggedRun, Logger
from clrun.metrics import computed
from clrun.records.measured import measured_so_far
from clrun.records.results import Results
from clrun.records.run_folder import RunFolder, is_job
from clrun.runner.building import build
from clrun.runner.interrupt import Interrupted
from clrun.runner.prepare import Prepared
from clrun.runner.recorder import Recorder

MOST_EXPERIENCES = 100
"""With a longer stream the metrics are computed in the end alone: after each experience they are
those of all before, which takes longer each time."""

SEEN = ("eval", "experience", "memory")
"""Kinds of lines that metrics are computed from."""

note = logging.getLogger("clrun.note")


class Sinks:
    """Hands lines to loggers. One that fails is closed with a line, and the run goes on."""

    def __init__(self, loggers: Mapping[str, Logger], experiences: int) -> None:
        self._loggers = dict(loggers)
        self._experiences = experiences
        self._seen: list[Line] = []
        self._last: Line = {"experience": None, "epoch": None, "iteration": 0, "seconds": 0.0}

    def begin(self, run: LoggedRun, log: Path) -> None:
        """Open each logger with the lines that are in the log already."""
        for name, logger in list(self._loggers.items()):
            self._guarded(name, partial(logger.begin, run, self._so_far(log)))

    def write(self, line: Line) -> None:
        """Hand a line to each, and after an experience the metrics so far."""
        for each in self._with_metrics(line):
            self._write(each)

    def completed(self, results: Results) -> None:
        """The metrics and the cost of results.json are the last lines."""
        place = {**self._place(), "epoch": None}
        self._write({"kind": "metrics", **place, **results.metrics})
        self._write({"kind": "cost", **place, **results.cost})

    def end(self, status: str) -> None:
        """Close each."""
        for name, logger in list(self._loggers.items()):
            self._guarded(name, partial(logger.end, status))
        self._loggers.clear()

    def _write(self, line: Line) -> None:
        for name, logger in list(self._loggers.items()):
            self._guarded(name, partial(logger.write, line))

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except (Exception, SystemExit) as error:
            reason = in_a_line(error) if isinstance(error, Exception) else f"exits with {error}."
            note.warning("logger=%s failed, and the run goes on without it: %s", name, reason)
            logger = self._loggers.pop(name)
            with suppress(Exception, SystemExit):
                logger.end("failed")

    def _so_far(self, log: Path) -> Iterator[Line]:
        """The lines of the log with the metrics between them; for each logger from the first."""
        self._seen = []
        with open_regular(log) as file:
            for text in file:
                yield from self._with_metrics(json.loads(text))

    def _with_metrics(self, line: Line) -> Iterator[Line]:
        """A line, and where it is the last one of an experience the metrics so far."""
        yield line
        self._last = line
        if line["kind"] not in SEEN or not 1 < self._experiences <= MOST_EXPERIENCES:
            return
        self._seen.append(line)
        if line["kind"] == "memory" and line["experience"] + 1 < self._experiences:
            metrics, _ = computed(measured_so_far(self._seen))
            yield {"kind": "metrics", **self._place(), **metrics}

    def _place(self) -> dict[str, Any]:
        return {key: self._last[key] for key in ("experience", "epoch", "iteration", "seconds")}


@contextmanager
def logged(
    prepared: Prepared, folder: RunFolder, recorder: Recorder, log: Path, *, is_part: bool
) -> Iterator[Callable[[Results], None]]:
    """Let loggers have what is recorded inside; what is given back takes the results.

    Of what is only a part of several runs (`is_part`) they have nothing.
    """
    nodes = prepared.config.loggers
    if is_part or not nodes:
        yield lambda results: None
        return
    sinks = Sinks({node.option: build(node) for node in nodes}, len(prepared.data))
    sinks.begin(_run(prepared, folder), log)
    recorder.sinks = (sinks,)
    status = "failed"
    try:
        yield sinks.completed
        status = "completed"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        recorder.sinks = ()
        sinks.end(status)


def _run(prepared: Prepared, folder: RunFolder) -> LoggedRun:
    config, record = prepared.config, folder.record
    return LoggedRun(
        folder=folder.path.absolute(),
        run_id=str(record["run_id"]),
        name=config.root.run_name,
        label=config.label(),
        sweep=folder.path.absolute().parent.name if is_job(folder.path) else None,
        started=datetime.fromisoformat(record["started"]).timestamp(),
        output_root=Path(str(record["output_root"])),
        experiences=len(prepared.data),
        classes=prepared.data.shape.num_classes,
        config=_typed(config),
    )


def _typed(config: RunConfig) -> dict[str, Any]:
    """Choices and keys as they are typed -> their values; those of loggers left out."""
    found: dict[str, Any] = dict(vars(config.root))
    found |= {f"checkpoint.{key}": value for key, value in vars(config.checkpoint).items()}
    for group, node in config.nodes.items():
        found[group] = node.option
        found |= {f"{group}.{key}": value for key, value in node.values.items()}
    return dict(hidden(found))
