"""The headline table of methods with what was done, as a text for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from clrun.console.text_tables import in_latex, in_markdown
from clrun.records.alike import Method
from clrun.report.protocol import protocol
from clrun.report.tables import csv_of, headline_table, latex, markdown, shown_metrics

Format = Literal["md", "latex", "csv"]


def table_text(methods: Sequence[Method], form: Format) -> str:
    """The table in this format; of CSV every metric, and no words."""
    if form == "csv":
        return csv_of(methods)
    table, sentences = headline_table(methods), protocol(methods, shown_metrics(methods))
    if form == "latex":
        return f"{latex(table)}\n{' '.join(map(in_latex, sentences))}\n"
    return f"{markdown(table)}\n{' '.join(map(in_markdown, sentences))}\n"
