"""A run as one picture for any terminal: where it is, the matrix as far as it is, the memory."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from clrun.console.display import clock_time, time_left
from clrun.console.tables import WIDEST, matrix_table
from clrun.console.visible import visible
from clrun.records.results import Row
from clrun.records.run_folder import DIED, RUNNING
from clrun.sweep.outcomes import COMPLETED, FAILED, INTERRUPTED
from clrun.watch.run_now import RunNow
from clrun.watch.table import STYLES, size

MOST_CLASSES = 30
"""With more classes the fewest and the most rows are said."""

SILENT_SECONDS = 60.0
"""After which it is said of a run that it wrote nothing in its log"""

BAR, NAME = 8, 12
"""Columns of the bar of a class, and of its name at most"""


class RunPicture:
    """Draws a run again and again; what did not change is not laid out anew."""

    def __init__(self) -> None:
        self._now: RunNow | None = None
        self._drawn: dict[str, tuple[object, list[Segment]]] = {}

    def show(self, now: RunNow) -> None:
        """Draw this from now on."""
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._now is None:
            return
        yield from _head(self._now, options.max_width)
        for name, key, part in self._parts(self._now, options.max_width):
            known = self._drawn.get(name)
            if known is None or known[0] != key:
                segments = list(console.render(part, options))
                self._drawn[name] = known = (key, segments)
            yield Segments(known[1])

    def _parts(self, now: RunNow, width: int) -> Iterator[tuple[str, object, RenderableType]]:
        """(name, what it depends on, what is drawn) of what changes seldom."""
        seen = now.log.seen
        if seen.matrix:
            rows = _whole(now.matrix(), now.experiences)
            key = (width, seen.evaluated, now.experiences)
            yield "matrix", key, matrix_table(rows, width, seen.stream)
        if seen.memory.get("rows"):
            yield "memory", (width, seen.memory), _memory(seen.memory, now.class_names, width)


def ending(now: RunNow) -> Iterator[tuple[str, str]]:
    """(a sentence, its style) about how a run ended."""
    took = "" if now.seconds is None else f" after {clock_time(now.seconds)}"
    reason = f": {now.reason}" if now.reason and now.status in (FAILED, INTERRUPTED) else "."
    said = {
        DIED: f"died{took}: its process ended without a word.",
        "gone": "is gone: the folder was removed or renamed.",
    }
    yield (
        f"{now.label}: {said.get(now.status, f'{now.status}{took}{reason}')}",
        STYLES.get(now.status, ""),
    )
    if now.status == COMPLETED:
        yield f"Results: {now.folder}", ""
    if now.status in (INTERRUPTED, DIED, FAILED):
        yield f"To go on: clrun resume {shlex.quote(str(now.folder))}", ""


def where(now: RunNow) -> str:
    """Where a run is and how it does, as one phrase."""
    return ", ".join([_place(now), *_numbers(now), *_left(now)])


def _head(now: RunNow, width: int) -> Iterator[RenderableType]:
    title = Text(visible(now.label), style="bold")
    for text, style in (
        (now.status, STYLES.get(now.status, "")),
        (now.device, "dim"),
        (visible(now.name), ""),
        ("" if now.seconds is None else clock_time(now.seconds), ""),
    ):
        title += Text(f"  {text}" if text else "", style=style)
    yield title
    if now.status == RUNNING:
        yield from _going(now, width)


def _going(now: RunNow, width: int) -> Iterator[RenderableType]:
    bar = ProgressBar(total=1.0, completed=now.done, width=max(min(width - 50, 40), 6))
    grid = Table.grid(padding=(0, 1))
    grid.add_row(_place(now), bar, f"{now.done:4.0%}", *_left(now))
    yield grid
    silent = now.silent or 0.0
    quiet = [f"nothing written for {clock_time(silent)}"] if silent > SILENT_SECONDS else []
    line = Text("  ".join([now.phase, *_numbers(now), *_resources(now)]))
    yield line + Text("".join(f"  {text}" for text in quiet), style="yellow")


def _place(now: RunNow) -> str:
    if now.place is None:
        return now.phase
    experience, epoch = now.place
    words = [_of("experience", experience, now.experiences)]
    return ", ".join(words if epoch is None else [*words, _of("epoch", epoch, now.epochs)])


def _of(what: str, index: int, total: int | None) -> str:
    return f"{what} {index + 1}" if total is None else f"{what} {index + 1}/{total}"


def _numbers(now: RunNow) -> list[str]:
    """Loss, training accuracy and throughput of the last updates, as far as they are known."""
    step, speed = now.log.seen.step, now.log.seen.images_per_second(now.minibatch)
    known = [(name, step.get(key)) for name, key in (("loss", "loss"), ("acc", "accuracy"))]
    found = [f"{name} {value:.3f}" for name, value in known if isinstance(value, int | float)]
    return found if speed is None else [*found, f"{speed:,.0f} img/s"]


def _left(now: RunNow) -> list[str]:
    return [] if now.seconds_left is None else [time_left(now.seconds_left)]


def _resources(now: RunNow) -> list[str]:
    """The most memory that the process and its device had by the end of the last experience."""
    line = now.log.seen.resource
    known = (("process", line.get("rss_peak_bytes")), ("device", line.get("device_peak_bytes")))
    return [f"{name} {size(count)}" for name, count in known if isinstance(count, int) and count]


def _whole(rows: Sequence[Row], experiences: int | None) -> Sequence[Row]:
    """The matrix with empty rows for what is still to be learnt, where they are few."""
    count = experiences if experiences is not None and experiences <= WIDEST else len(rows)
    return [*rows, *[()] * max(count - len(rows), 0)]


def _memory(line: Mapping[str, object], names: Sequence[str], width: int) -> RenderableType:
    """The rows of the memory, by class: a bar each, as many beside each other as there is room."""
    table = Table.grid(padding=(0, 2))
    rows, count = line.get("rows"), line.get("bytes")
    held = f", {size(count)}" if isinstance(count, int) else ""
    title = Text(f"memory: {rows:,} rows{held}")
    by_class = line.get("per_class")
    found = by_class if isinstance(by_class, Mapping) else {}
    counts = {str(label): n for label, n in found.items() if isinstance(n, int)}
    if not counts:
        return title
    least, most = min(counts.values()), max(counts.values())
    if len(counts) > MOST_CLASSES:
        return title + Text(f", {len(counts)} classes of {least:,} to {most:,}")
    cells = [_bar(_name(names, label), n, most) for label, n in counts.items()]
    abreast = max(width // (max(cell.cell_len for cell in cells) + 2), 1)
    table.title, table.title_justify, table.title_style = title, "left", ""
    for first in range(0, len(cells), abreast):
        table.add_row(*cells[first : first + abreast])
    return table


def _bar(name: str, count: int, most: int) -> Text:
    filled = round(BAR * count / most) if most else 0
    return Text.assemble(
        (f"{name:<{min(len(name), NAME)}} ", "bold"),
        ("█" * filled, "green"),
        ("·" * (BAR - filled), "dim"),
        f" {count:>4,}",
    )


def _name(names: Sequence[str], label: str) -> str:
    known = names[int(label)] if label.isdigit() and int(label) < len(names) else label
    text = visible(known)
    return text if len(text) <= NAME else f"{text[: NAME - 1]}…"
