"""sweep.csv: a row for each job, for spreadsheets and data frames (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clrun.sweep.summary import Row

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
FORMULA = re.compile(r"[=+\-@\t\r\n]")
"""How a text begins that a spreadsheet would compute"""


def csv_text(found: Sequence[Row]) -> str:
    """The rows with the swept keys, the metrics and the costs that any of them has as columns.

    An empty cell is a value that is not there. A text that a spreadsheet would take for a formula
    has an apostrophe before it.
    """
    swept = _names(row.values for row in found)
    metrics, costs = _names(row.metrics for row in found), _names(row.cost for row in found)
    file = io.StringIO()
    writer = csv.writer(file)  # whose lines end as the standard says
    first, last = ("number", "status"), ["seconds", "attempts", "host", "ended"]
    with_references = any(row.is_reference for row in found)
    last += ["reference"] if with_references else []
    described = ("reason", "folder", "config_hash", "overrides")
    writer.writerow([*first, *swept, *metrics, *costs, *last, *described])
    for row in found:
        writer.writerow(
            [
                *(row.number, row.status),
                *(spreadsheet_text(row.values.get(key, "")) for key in swept),
                *(_cell(row.metrics.get(key)) for key in metrics),
                *(_cell(row.cost.get(key)) for key in costs),
                *(_cell(row.seconds), row.attempts, spreadsheet_text(row.host), row.ended),
                *(["yes" if row.is_reference else "no"] if with_references else []),
                *(
                    spreadsheet_text(row.reason or ""),
                    spreadsheet_text(row.folder),
                    row.config_hash,
                ),
                spreadsheet_text(shlex.join(row.overrides)),
            ]
        )
    return file.getvalue()


def _names(found: Iterable[Mapping[str, object]]) -> list[str]:
    """Keys in the order in which they are met."""
    return list(dict.fromkeys(key for each in found for key in each))


def _cell(value: float | None) -> float | str:
    return "" if value is None else value


def spreadsheet_text(text: str) -> str:
    """A text that a spreadsheet does not compute."""
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text
