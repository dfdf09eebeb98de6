"""Event files for TensorBoard, in `tensorboard/` of the run's folder.

    tensorboard --logdir outputs          # or the folder of a sweep: a curve for each job

A number is drawn over updates, at the moment it was measured. A run that goes on writes its file
anew, so that no point is there twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clrun.config.bounds import Positive
from clrun.loggers.logger import Line, LoggedRun, own_folder, require_package
from clrun.loggers.numbers import numbers

EVENTS = "events.out.tfevents.*"


class TensorBoard:
    """Writes what TensorBoard reads, by its own writer."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        flush_seconds: Positive

    def __init__(self, config: Config) -> None:
        require_package("tensorboard", "tensorboard")
        self.config = config
        self._writer: Any = None

    def begin(self, run: LoggedRun, lines: Iterable[Line]) -> None:
        """Write what the run has so far; files that an earlier process left are removed."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = own_folder(run.folder / "tensorboard")
        for file in folder.glob(EVENTS):
            file.unlink()
        self._run = run
        self._writer = EventFileWriter(str(folder), flush_secs=self.config.flush_seconds)
        self._event(_configuration(run), 0, 0.0)
        for line in lines:
            self.write(line)

    def write(self, line: Line) -> None:
        """Add a point to the curve of each number."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        found = numbers(line, self._run).items()
        values = [Summary.Value(tag=n, simple_value=v) for n, v in found if v is not None]
        if values:
            self._event(Summary(value=values), line["iteration"], line["seconds"])

    def end(self, status: str) -> None:
        if self._writer is not None:
            self._writer.close()

    def _event(self, summary: Any, step: int, seconds: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        moment = self._run.started + seconds
        self._writer.add_event(Event(wall_time=moment, step=step, summary=summary))


def _configuration(run: LoggedRun) -> Any:
    """The configuration as a table of TensorBoard's tab of texts."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.text.metadata import create_summary_metadata

    rows = "".join(f"| {key} | `{value}` |\n" for key, value in run.config.items())
    text = f"{run.name or run.label}\n\n| key | value |\n| --- | --- |\n{rows}"
    tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()])
    metadata = create_summary_metadata(display_name="config", description="")
    return Summary(value=[Summary.Value(tag="config", tensor=tensor, metadata=metadata)])
