"""The section of the memory: what a run keeps of its past, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clrun.records.past_run import Line, PastRun
from clrun.report.bars import Part, Stack
from clrun.report.environment import fragment
from clrun.report.moments import Story
from clrun.report.page import Section
from clrun.report.run_matrix import shown
from clrun.report.thumbnails import thumbnails

MOST_PIECES = 1500
"""Classes in a drawing, at most; a memory of more classes is drawn by experience alone."""


def memory_section(run: PastRun, story: Story) -> Section | None:
    """The section; None of a run that keeps nothing."""
    lines = [line for line in story.memory if line.get("rows")]
    if not lines:
        return None
    drawn = [story.memory[place] for place in shown(len(story.memory))]
    names = run.measured.class_names
    shown_rows = thumbnails(run.folder, names)
    last = lines[-1]
    html = fragment(
        "run_memory.html",
        stacks=[
            stack
            for stack in (
                _stack("by class", "class", drawn, "per_class", names),
                _stack("by experience", "experience", drawn, "per_experience", ()),
            )
            if stack is not None
        ],
        rows=last["rows"],
        size=last.get("bytes"),
        shown=shown_rows,
        is_end=shown_rows.after == last["experience"] + 1,
    )
    return Section("memory", "Memory", html)


def _stack(
    title: str, what: str, lines: Sequence[Line], key: str, names: Sequence[str]
) -> Stack | None:
    counts = [_counts(line.get(key)) for line in lines]
    ids = sorted({number for each in counts for number in each})
    if not ids or len(ids) * len(lines) > MOST_PIECES:
        return None
    return Stack(
        id=f"memory-by-{what}",
        title=f"Rows held {title}",
        summary=f"{sum(counts[-1].values()):,} rows of {len(counts[-1])} in the end.",
        columns=[str(line["experience"] + 1) for line in lines],
        column_label="after experience",
        parts=[
            Part(_name(number, what, names), [each.get(number, 0) for each in counts])
            for number in ids
        ],
        unit="rows",
    )


def _name(number: int, what: str, names: Sequence[str]) -> str:
    if what == "experience":
        return f"experience {number + 1}"
    return names[number] if number < len(names) else f"class {number}"


def _counts(given: Any) -> dict[int, int]:
    """Id -> count, whether the log has a map or a list."""
    if isinstance(given, Mapping):
        return {int(key): int(value) for key, value in given.items()}
    if isinstance(given, Sequence):
        return {key: int(value) for key, value in enumerate(given)}
    return {}
