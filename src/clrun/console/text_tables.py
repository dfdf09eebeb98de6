"""Tables of texts for Markdown, LaTeX and spreadsheets, in which every text stays text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from clrun.console.visible import one_line

MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")
MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
FORMULA = re.compile(r"[=+\-@\t\r\n]")
"""How a text begins that a spreadsheet would compute"""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)

Table = Sequence[Sequence[str]]
"""A head and its rows, all as long"""


def markdown_table(table: Table, *, texts: int = 1) -> str:
    """A table as GitHub and most others read it; all but the first `texts` columns are numbers."""
    head, *rows = ([in_markdown(cell) for cell in row] for row in table)
    rule = ["---" if column < texts else "---:" for column in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def latex_table(table: Table, *, caption: str, texts: int = 1) -> str:
    """A table for a paper; it needs the package booktabs."""
    head, *rows = (" & ".join(map(in_latex, row)) + r" \\" for row in table)
    columns = "l" * texts + "r" * (len(table[0]) - texts)
    lines = [
        "% \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{in_latex(caption)}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        *(f"    {line}" for line in (r"\toprule", head, r"\midrule", *rows, r"\bottomrule")),
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def csv_table(table: Table) -> str:
    """A table for a spreadsheet (RFC 4180); what it would compute has an apostrophe before it."""
    file = io.StringIO()
    csv.writer(file).writerows([_in_cell(text) for text in row] for row in table)
    return file.getvalue()


def in_markdown(text: str) -> str:
    """A text that is only text there, in one line."""
    plain = "".join(MARKUP.get(letter, letter) for letter in one_line(text))
    return MARKDOWN.sub(r"\\\1", plain)


def in_latex(text: str) -> str:
    """A text that is only text there, in one line."""
    return "".join(LATEX.get(letter, letter) for letter in one_line(text))


def _in_cell(text: str) -> str:
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text
