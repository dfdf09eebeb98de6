"""What a run measured, read again from its folder.

A metric that was added later is had without training, and without torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrun.disk.opening import open_regular, read_text
from clrun.errors import ConfigError
from clrun.metrics import Evaluation, Measurements, matrix_of_rows
from clrun.metrics.task_aware import PREFIX
from clrun.records.run_folder import RUNNING, run_status
from clrun.records.sound_record import sound_record

Line = Mapping[str, Any]
Floats = NDArray[np.float64]

UNUSED = (b'{"kind": "step"', b'{"kind": "epoch"')
"""How most lines begin; they say nothing of evaluations."""


OF_THE_LINE = ("experience", "epoch", "iteration", "seen")
"""What an evaluation with task ids has in common with that without."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run as far as it got: of a stream that was not finished, the experiences that were."""

    folder: Path
    status: str
    """completed, failed, interrupted, running, died or unknown"""
    label: str
    experiences: int
    """that were finished"""
    total: int | None
    """of the stream; None where the run did not come to say it"""
    class_names: list[str]
    fingerprint: Any
    """of the data; None where run.json has none"""
    measurements: Measurements

    def beside(self, *, joint: Measured | None, naive: Measured | None) -> Measured:
        """The same with the accuracies of runs to compare with, cut to the experiences of this.

        Raises:
            ConfigError: one of them is of another stream.
        """
        for name, other in (("joint", joint), ("naive", naive)):
            if other is not None and (differs := self._differs(other)):
                raise ConfigError(f"--{name} {other.folder}: {differs} than in {self.folder}.")
        measurements = replace(
            self.measurements,
            joint=self._cut(None if joint is None else joint.measurements),
            naive=self._cut(None if naive is None else naive.measurements),
        )
        aware = measurements.task_aware
        if aware is not None:
            aware = replace(
                aware,
                joint=self._cut(None if joint is None else joint.measurements.task_aware),
                naive=self._cut(None if naive is None else naive.measurements.task_aware),
            )
        return replace(self, measurements=replace(measurements, task_aware=aware))

    def _cut(self, other: Measurements | None) -> Floats | None:
        """The accuracy matrix of another run, of the experiences that this one finished."""
        if other is None:
            return None
        matrix = np.asarray(other.accuracy, dtype=np.float64)
        if self.experiences == self.total:
            return matrix
        count = self.experiences
        return matrix[: count if len(matrix) > 1 else 1, :count]

    def _differs(self, other: Measured) -> str | None:
        """What tells the stream of another run from this one's, as far as both say it."""
        count = min(len(self._classes), len(other._classes))
        if self._classes[:count] != other._classes[:count]:
            return "the classes of the experiences are others"
        if None not in (self.fingerprint, other.fingerprint):
            return None if self.fingerprint == other.fingerprint else "the data are others"
        return None

    @property
    def _classes(self) -> Sequence[Sequence[int]]:
        return [list(classes) for classes in self.measurements.experience_classes or ()]


def read_measured(folder: Path) -> Measured:
    """What the run in a folder measured.

    Raises:
        ConfigError: there is no run, or its log cannot be read.
    """
    status = run_status(folder)
    if status is None:
        raise ConfigError(f"{folder}: holds no run: there is no run.json in it.")
    record, results = sound_record(folder), read_results(folder)
    path = folder / "metrics.jsonl"
    try:
        lines = list(_lines(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}.") from None
    try:
        return _measured(folder, status, record, results, lines)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is damaged: {type(error).__name__}: {reason}.") from None


def measured_so_far(lines: Sequence[Line]) -> Measurements:
    """What a run has measured by now, by the lines of its log but steps and epochs: that of the
    experiences that it has finished."""
    return _measured(Path(), RUNNING, {}, {}, lines).measurements


def _measured(
    folder: Path, status: str, record: Line, results: Line, lines: Sequence[Line]
) -> Measured:
    evaluations = [line for line in lines if line["kind"] == "eval"]
    finished = len({line["experience"] for line in lines if line["kind"] == "memory"})
    described = results.get("experiences") or _described(lines)
    whole = _learnt_at_once(evaluations, results)
    total = len(results["experiences"]) if results.get("experiences") else whole
    count = whole or finished
    names = record.get("data", {}).get("class_names") or results.get("class_names") or ()
    return Measured(
        folder=folder,
        status=status,
        label=str(record.get("label", folder.name)),
        experiences=finished,
        total=total,
        class_names=[str(name) for name in names],
        fingerprint=record.get("data", {}).get("fingerprint"),
        measurements=_with_twin(
            evaluations, described[:count], finished, count, is_over=count == total
        ),
    )


def _with_twin(
    lines: Sequence[Line], *stream: *tuple[Sequence[Line], int, int], is_over: bool
) -> Measurements:
    """Those of a run, and with them those with task ids where its lines have any."""
    plain, own = _measurements(lines, *stream, is_over=is_over), _with_task_ids(lines)
    if not own:
        return plain
    return replace(plain, task_aware=_measurements(own, *stream, is_over=is_over))


def _with_task_ids(lines: Sequence[Line]) -> list[Line]:
    """What evaluations say with task ids, as lines that say nothing else."""
    found: list[Line] = []
    for line in lines:
        own = {k.removeprefix(PREFIX): v for k, v in line.items() if k.startswith(PREFIX)}
        if own:
            found.append({**{key: line[key] for key in OF_THE_LINE if key in line}, **own})
    return found


def _measurements(
    lines: Sequence[Line],
    described: Sequence[Line],
    finished: int,
    count: int,
    *,
    is_over: bool,
) -> Measurements:
    """Those of the `finished` experiences of a run, which had `count` of the stream in them.

    `described`: their classes and test rows, where those are known. Of a stream that is not over
    nothing counts that is about later experiences.
    """
    ends = {e["experience"]: e for e in lines if e["experience"] is not None and e["epoch"] is None}
    rows = [ends.get(index, {}).get("accuracy", ())[:count] for index in range(finished)]
    classes = [list(each["classes"]) for each in described]
    seen = None if is_over or not classes else sorted({c for own in classes for c in own})
    last = ends.get(finished - 1, {})
    is_of_these = is_over or len(last.get("accuracy", ())) <= count
    initial = next((e["accuracy"] for e in lines if e["experience"] is None), None)
    own = [e for e in lines if e["experience"] is not None and e["experience"] < finished]
    tested = [each["test_rows"] for each in described if "test_rows" in each]
    return Measurements(
        accuracy=matrix_of_rows(rows, count),
        class_accuracy=_class_accuracy(ends, finished, seen),
        initial=None if initial is None else matrix_of_rows([initial[:count]], count)[0],
        test_rows=tested if len(tested) == count else None,
        evaluations=[_evaluation(line, count, at_once=count > finished) for line in own],
        iterations=[line["iteration"] for line in own],
        ends=[line["epoch"] is None for line in own],
        experience_classes=classes if len(classes) == count else None,
        confusion=_confusion(last, seen),
        ece=last.get("ece") if is_of_these else None,
        nll=last.get("nll") if is_of_these else None,
    )


def _evaluation(line: Line, count: int, *, at_once: bool) -> Evaluation:
    """On the rows of the curve, which are all of them where the line has no others."""
    accuracies = line["curve"] if "curve" in line else line["accuracy"]
    index = count - 1 if at_once else line["experience"]
    return index, matrix_of_rows([accuracies[:count]], count)[0]


def _class_accuracy(ends: Mapping[int, Line], finished: int, seen: list[int] | None) -> Floats:
    rows = [ends.get(index, {}).get("class_accuracy", ()) for index in range(finished)]
    table = matrix_of_rows(rows, max(map(len, rows), default=0))
    if seen is not None:
        table[:, np.setdiff1d(np.arange(table.shape[1]), seen)] = np.nan
    return table


def _confusion(line: Line, seen: list[int] | None) -> NDArray[np.int64] | None:
    if "confusion" not in line:
        return None
    entries = np.asarray(line["confusion"], dtype=np.int64).reshape(-1, 3)
    return entries if seen is None else entries[np.isin(entries[:, 0], seen)]


def _learnt_at_once(evaluations: Sequence[Line], results: Line) -> int | None:
    """How many experiences a run has learnt all at once, as joint training does; None if not."""
    for line in evaluations:
        if line["experience"] is not None and "seen" in line:
            return line["seen"] if line["seen"] > line["experience"] + 1 else None
    experiences, rows = results.get("experiences", ()), results.get("accuracy_matrix", ())
    is_at_once = len(experiences) > 1 and len(rows) == 1 and not results.get("partial")
    return len(experiences) if is_at_once else None


def _described(lines: Sequence[Line]) -> list[Line]:
    """Classes and test rows of the experiences that were learnt, as the log has them."""
    return [line for line in lines if line["kind"] == "experience"]


def read_results(folder: Path) -> Line:
    """results.json; empty where there is none that can be read."""
    try:
        content = json.loads(read_text(folder / "results.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _lines(path: Path) -> Iterator[Line]:
    """The lines of a raw log that say what was evaluated; one cut off or damaged is left out."""
    with open_regular(path) as file:
        for text in file:
            if text.startswith(UNUSED):
                continue
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and {"kind", "experience", "epoch"} <= line.keys():
                yield line
