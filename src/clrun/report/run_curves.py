"""The section of accuracy over time: on each experience, and on each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clrun.records.past_run import PastRun
from clrun.report.beside import Beside, reference_command
from clrun.report.environment import fragment
from clrun.report.intervals import cell as interval_of
from clrun.report.intervals import mean_so_far, test_rows
from clrun.report.lines import LineChart, Series
from clrun.report.moments import Moment, Story, read_story
from clrun.report.numbers import decimal
from clrun.report.page import Section
from clrun.report.run_matrix import shown
from clrun.report.svg import hue

MOST_LINES = 40
"""Experiences or classes that are drawn; of more, so many evenly apart."""
LONGEST_END = 9
"""Letters of a class's name that are written at the end of its line."""


class Row(NamedTuple):
    """A class after the last experience."""

    name: str
    learnt: str
    """in which experiences, counted from 1"""
    accuracy: float | None
    low: float | None
    high: float | None
    rows: int | None
    taken_for: str
    """the class that its rows are most often taken for, and how many are"""


def curves_section(run: PastRun, story: Story, others: Beside) -> Section:
    """The section; without a floor or a ceiling, the lines that would make them."""
    missing = [] if _is_reference(run) else _missing(run, others)
    html = fragment(
        "run_curves.html",
        by_experience=_by_experience(run, story, others) if len(story.moments) > 1 else None,
        by_class=_by_class(run, story) if len(story.ends) > 1 else None,
        is_evaluated=bool(story.moments),
        rows=class_rows(run),
        missing=missing,
    )
    return Section("time", "Over time", html)


def _is_reference(run: PastRun) -> bool:
    return run.options.get("strategy") in ("naive", "joint", "cumulative")


def _missing(run: PastRun, others: Beside) -> list[tuple[str, str, str]]:
    """(what is missing, the command that makes it, the option that shows it)"""
    found = []
    if others.naive is None:
        found.append(("floor", reference_command(run, "naive"), "--naive"))
    if others.joint is None:
        found.append(("ceiling", reference_command(run, "joint"), "--joint"))
    return found


def _by_experience(run: PastRun, story: Story, others: Beside) -> LineChart:
    moments = story.moments
    count = max(len(moment.accuracies) for moment in moments)
    is_at_once = _is_at_once(run)
    drawn = shown(count, MOST_LINES)
    lines = [
        Series(
            name=f"experience {j + 1}",
            y=[_since(moment, j, is_at_once) for moment in moments],
            hue=hue(j, count),
            end=str(j + 1),
        )
        for j in drawn
    ]
    lines = [line for line in lines if any(value is not None for value in line.y)]
    mean, clocks = _mean(run, moments, is_at_once), [story.clock(moments)]
    references, more = _references(story, others)
    places = [at for at, moment in enumerate(moments) if moment.is_end]
    note = _left_out_note(story, count, "experience")
    return LineChart(
        id="by-experience",
        title="Accuracy on each experience since it was learnt",
        summary=_summary(mean),
        axes=story.axes(),
        clocks=[*clocks, *more],
        series=[*lines, *references, *([mean] if count > 1 else [])],
        y_label="test accuracy",
        note=note,
        rows=[str(moments[at].experience + 1) for at in places],
        places=places,
    )


def _mean(run: PastRun, moments: Sequence[Moment], is_at_once: bool) -> Series:
    """The mean so far, with its interval where the rows are known."""
    rows, subset = test_rows(run.measured.measurements), run.values.get("eval.subset")
    if rows is not None and isinstance(subset, int):
        rows = [min(count, subset) for count in rows]
    values: list[float | None] = []
    ends: list[tuple[float, float] | None] = []
    for moment in moments:
        so_far = moment.accuracies if is_at_once else moment.accuracies[: moment.experience + 1]
        known = [value for value in so_far if value is not None]
        values.append(sum(known) / len(known) if known else None)
        is_whole = rows is not None and len(known) == len(so_far) <= len(rows)
        ends.append(mean_so_far(known, rows[: len(known)]) if is_whole and rows else None)
    return Series(
        name="mean so far",
        y=values,
        low=[None if each is None else each[0] for each in ends] if any(ends) else (),
        high=[None if each is None else each[1] for each in ends] if any(ends) else (),
        role="mean",
        end="mean",
    )


def _references(story: Story, others: Beside) -> tuple[list[Series], list[dict[str, list[float]]]]:
    """The mean so far of a naive and a joint run, and their clocks."""
    series: list[Series] = []
    clocks: list[dict[str, list[float]]] = []
    if others.naive is not None:
        theirs = read_story(others.naive)
        mean = _mean(others.naive, theirs.ends, False)
        clocks.append(theirs.clock(theirs.ends))
        series.append(
            Series(name="naive, the floor", y=mean.y, clock=len(clocks), role="floor", end="naive")
        )
    if others.joint is not None:
        ends = story.ends
        ceiling = np.asarray(others.joint.measured.measurements.accuracy, dtype=np.float64)
        values = [_ceiling(ceiling, moment.experience) for moment in ends]
        clocks.append(story.clock(ends))
        series.append(
            Series(
                name="joint, the ceiling", y=values, clock=len(clocks), role="ceiling", end="joint"
            )
        )
    return series, clocks


def _ceiling(matrix: np.ndarray, experience: int) -> float | None:
    """The mean over the experiences so far of a joint or a cumulative run."""
    row = matrix[0] if len(matrix) == 1 else matrix[min(experience, len(matrix) - 1)]
    known = row[: experience + 1]
    return float(known.mean()) if known.size and np.isfinite(known).all() else None


def _by_class(run: PastRun, story: Story) -> LineChart | None:
    ends = [moment for moment in story.ends if moment.classes]
    count = max((len(moment.classes) for moment in ends), default=0)
    if count < 2:
        return None
    names, learnt, is_at_once = _names(run, count), _learnt_in(run), _is_at_once(run)
    order = sorted(range(count), key=lambda c: (learnt.get(c, [count])[0], c))
    drawn = [order[place] for place in shown(count, MOST_LINES)]
    lines = []
    for c in drawn:
        first = learnt.get(c, [0])[0]
        y = [
            moment.classes[c]
            if c < len(moment.classes) and (is_at_once or moment.experience >= first)
            else None
            for moment in ends
        ]
        end = names[c] if len(names[c]) <= LONGEST_END else f"{names[c][: LONGEST_END - 1]}…"
        lines.append(Series(name=names[c], y=y, hue=hue(order.index(c), count), end=end))
    return LineChart(
        id="by-class",
        title="Accuracy on each class since it was learnt",
        summary=f"{count} classes, from the first learnt in blue to the last in red.",
        axes=story.axes(),
        clocks=[story.clock(ends)],
        series=[line for line in lines if any(value is not None for value in line.y)],
        y_label="test accuracy",
        note=_left_out_note(None, count, "class"),
        rows=[str(moment.experience + 1) for moment in ends],
        places=list(range(len(ends))),
    )


def class_rows(run: PastRun, most: int = 1000) -> list[Row]:
    """The classes after the last experience: how well, and what they are taken for."""
    measured = run.measured.measurements
    table = np.asarray(measured.class_accuracy, dtype=np.float64)
    if not table.size:
        return []
    names, learnt = _names(run, table.shape[1]), _learnt_in(run)
    confusion = None if measured.confusion is None else np.asarray(measured.confusion)
    found: list[Row] = []
    for c, accuracy in enumerate(table[-1].tolist()):
        if not math.isfinite(accuracy) or len(found) == most:
            continue
        rows = None if confusion is None else int(confusion[confusion[:, 0] == c, 2].sum())
        interval = interval_of(accuracy, rows) or (None, None)
        found.append(
            Row(
                name=names[c],
                learnt=_in_words(learnt.get(c, ())),
                accuracy=accuracy,
                low=interval[0],
                high=interval[1],
                rows=rows,
                taken_for=_taken_for(c, confusion, names),
            )
        )
    return found


def _taken_for(c: int, confusion: np.ndarray | None, names: Sequence[str]) -> str:
    if confusion is None:
        return ""
    wrong = confusion[(confusion[:, 0] == c) & (confusion[:, 1] != c)]
    if not len(wrong):
        return ""
    _, predicted, rows = wrong[wrong[:, 2].argmax()]
    name = names[predicted] if predicted < len(names) else predicted
    return f"{name}: {rows:,} row{'' if rows == 1 else 's'}"


def _in_words(experiences: Sequence[int]) -> str:
    """Experiences counted from 1, those that follow each other as one: 1 to 4, 9"""
    runs: list[list[int]] = []
    for index in experiences:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(
        str(first + 1) if first == last else f"{first + 1} to {last + 1}" for first, last in runs
    )


def _names(run: PastRun, count: int) -> list[str]:
    known = run.measured.class_names
    return [known[c] if c < len(known) else str(c) for c in range(count)]


def _learnt_in(run: PastRun) -> dict[int, list[int]]:
    """Class -> the experiences that have it."""
    found: dict[int, list[int]] = {}
    for index, classes in enumerate(run.measured.measurements.experience_classes or ()):
        for c in classes:
            found.setdefault(int(c), []).append(index)
    return found


def _is_at_once(run: PastRun) -> bool:
    """Whether it learnt all experiences together, as joint training does."""
    matrix = np.asarray(run.measured.measurements.accuracy)
    return matrix.ndim == 2 and len(matrix) == 1 and matrix.shape[1] > 1


def _since(moment: Moment, j: int, is_at_once: bool) -> float | None:
    """The accuracy on an experience, once it is being learnt."""
    if j >= len(moment.accuracies) or (moment.experience < j and not is_at_once):
        return None
    return moment.accuracies[j]


def _summary(mean: Series) -> str:
    known = [value for value in mean.y if value is not None]
    if not known:
        return "Nothing was evaluated."
    return (
        f"The mean over the experiences so far goes from {decimal(known[0])} to "
        f"{decimal(known[-1])}; its lowest is {decimal(min(known))}."
    )


def _left_out_note(story: Story | None, count: int, what: str) -> str:
    texts = []
    if story is not None and story.left_out:
        texts.append(
            f"{story.left_out:,} evaluations inside experiences are not drawn: of each stretch the "
            "one with the lowest accuracies is."
        )
    if count > MOST_LINES:
        many = "classes" if what == "class" else "experiences"
        texts.append(f"{MOST_LINES} of {count:,} {many} are drawn, evenly apart.")
    if story is not None and story.is_shared_out:
        texts.append("Rows and MACs are shared out over the updates, each of which counts alike.")
    return " ".join(texts)
