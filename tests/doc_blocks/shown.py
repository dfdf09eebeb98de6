"""What a page shows and what a command prints now: whether they say the same.

What differs from run to run and from machine to machine is masked: seconds and other measures with
a unit, cells of the columns that hold them, dates and times of day, numbers with `it/s`, names of
run folders, hashes, versions, models of processors. How wide the columns of a table are does not
count, for it depends on what is masked.

All other numbers must be the same. One with a decimal point may differ by one in its last digit,
or by `CLOSE`: another processor adds in another order, and a row or two of the digits' 360 test
rows are then taken for another class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

LEFT_OUT = "..."
CLOSE = 0.02
VARYING = re.compile(
    r"seconds|CPU s|time|s|started|ended|when|date|age|disk|MB|GB|peak|memory MB|run|folder|id"
)
"""Heads of columns whose cells vary."""

UNITS = r"(s|ms|us|µs|min|h|d|B|kB|KB|KiB|MB|MiB|GB|GiB|TB|GHz|MHz|%% of the time|CPU s|seconds)"
MASKS = [
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\d{4}-\d\d-\d\d", "DATE"),
        (r"\b\d\d-\d\d-\d\d-[0-9a-f]{6}\b", "RUN"),
        (r"\b\d{1,2}:\d\d(:\d\d)?(\.\d+)?\b", "TIME"),
        (r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b", "HASH"),
        (r"\b\d+\.\d+(\.\d+)+\S*|\b\d+\.\d+\S*\+\w\S*|\bv\d+\.\d+\S*", "VERSION"),
        (rf"(?<![\w.])[\d,]+(\.\d+)?(e[-+]?\d+)? ?{UNITS}(?![\w/])", "MEASURE"),
        (r"(?<![\w.])[\d,]+(\.\d+)?k? ?\w+/s\b", "RATE"),
        (r"\b(Intel|AMD|ARM|Apple|NVIDIA|Neoverse)\b.*", "DEVICE"),
        (r"[─━]+", "─"),
        (r"\s+", " "),
    )
]
NUMBER = re.compile(r"(?<![\w.])[-+±]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
PROGRESS = re.compile(r"\d+ of \d+(, \S+ left)?  (?=accuracy )")
"""Before what a job of a sweep came to; jobs side by side end in any order."""
CELLS = re.compile(r"[│┃|]")


def masked(lines: Sequence[str]) -> list[str]:
    """The lines without what varies."""
    found: list[str] = []
    ended: list[str] = []
    for line in _masked_cells(lines):
        if PROGRESS.match(line):
            ended.append(_masked_line(PROGRESS.sub("", line)))
            continue
        found += [*sorted(ended), _masked_line(line)]
        ended = []
    return [*found, *sorted(ended)]


def _masked_line(line: str) -> str:
    for pattern, mask in MASKS:
        line = pattern.sub(mask, line)
    return line.strip()


def _masked_cells(lines: Sequence[str]) -> Iterator[str]:
    """The cells of columns that vary are masked, below the heads that say so."""
    varying = set[int]()
    for line in lines:
        cells = CELLS.split(line)
        if len(cells) < 3:
            yield line
            continue
        if "┃" in line or not varying:
            heads = [cell.strip() for cell in cells]
            varying = {place for place, head in enumerate(heads) if VARYING.fullmatch(head)}
            yield " │ ".join(heads)
            continue
        yield " │ ".join(
            "VARIES" if place in varying and cell.strip() else cell.strip()
            for place, cell in enumerate(cells)
        )


def is_alike(shown: str, printed: str) -> bool:
    """Whether two masked lines say the same."""
    if shown == printed:
        return True
    ours, now = NUMBER.findall(shown), NUMBER.findall(printed)
    if len(ours) != len(now) or NUMBER.split(shown) != NUMBER.split(printed):
        return False
    return all(map(_is_close, ours, now))


def _is_close(shown: str, printed: str) -> bool:
    if shown == printed:
        return True
    if "." not in shown or "." not in printed:
        return False
    digits = len(shown.partition("e")[0].partition(".")[2])
    ours, now = float(shown.lstrip("±")), float(printed.lstrip("±"))
    return abs(ours - now) <= max(1.5 * 10.0**-digits, CLOSE)


def difference(shown: Sequence[str], printed: Sequence[str]) -> tuple[int, str] | None:
    """The first line that is shown and not printed now, from 0, and what is there instead.

    A line `...` stands for any lines.
    """
    ours, now = masked(shown), masked(printed)
    place = 0
    for number, part in enumerate(parts := list(_parts(ours))):
        start, lines = part
        is_first, is_last = number == 0, number == len(parts) - 1
        if is_last and not is_first:
            place = max(place, len(now) - len(lines))
        elif not is_first:
            place = next((p for p in range(place, len(now)) if _is_at(lines[:1], now, p)), len(now))
        for offset, line in enumerate(lines):
            at = place + offset
            if at >= len(now):
                return start + offset, "nothing"
            if not is_alike(line, now[at]):
                return start + offset, printed[at].strip()
        place += len(lines)
    if place < len(now):
        return max(len(shown) - 1, 0), f"more: {printed[place].strip()}"
    return None


def _is_at(lines: Sequence[str], now: Sequence[str], place: int) -> bool:
    return all(map(is_alike, lines, now[place:]))


def _parts(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """What stands between the lines `...`, with where it begins."""
    marks = [-1, *(n for n, line in enumerate(lines) if line == LEFT_OUT), len(lines)]
    for before, after in pairwise(marks):
        yield before + 1, list(lines[before + 1 : after])


def renewed(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """What is to be shown of what is printed now: as it was where it says the same.

    Lines that `...` stands for stay left out: as many as before are shown at the beginning and at
    the end, and parts between are found by their first line.
    """
    if difference(shown, printed) is None:
        return list(shown)
    parts = list(_parts(list(shown)))
    if len(parts) == 1:
        return [line.rstrip() for line in printed]
    now = masked(printed)
    found = [line.rstrip() for line in printed[: len(parts[0][1])]]
    for _, lines in parts[1:-1]:
        first = masked(lines)[:1]
        place = next((p for p in range(len(now)) if _is_at(first, now, p)), 0)
        found += [LEFT_OUT, *(line.rstrip() for line in printed[place : place + len(lines)])]
    last = len(parts[-1][1])
    tail = printed[max(len(printed) - last, 0) :] if last else ()
    return [*found, LEFT_OUT, *(line.rstrip() for line in tail)]
