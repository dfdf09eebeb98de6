"""The headline table of some methods, as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clrun.console.text_tables import in_latex, in_markdown
from clrun.metrics.table import all_metrics
from clrun.records.alike import Method
from clrun.records.costs import COSTS
from clrun.records.points import HEADLINES
from clrun.records.spread import Spread, may_be_best
from clrun.sweep.csv_text import spreadsheet_text

SHOWN = ("acc_final", "acc_pooled", "task_aware_acc_final", "aia", "bwt", "forgetting_max")
"""The metrics of the table, where any method has them; acc_pooled where acc_final has no value."""
COST_DIGITS = {"bytes": 1e6, "kept": 1e6, "macs": 1e9, "seconds": 1.0}
COST_HEADS = {"bytes": "memory (MB)", "kept": "kept (MB)", "macs": "GMAC", "seconds": "seconds"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A mean over runs, or a text."""

    text: str = ""
    spread: Spread | None = None
    is_best: bool = False
    """it may be the best, with 95 % confidence, and others are not"""
    is_number: bool = False
    is_signed: bool = False
    """shown with its sign, because 0 is what nothing changed to"""


@dataclass(frozen=True, kw_only=True)
class HeadlineTable:
    """A row for each method."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str


def headline_table(methods: Sequence[Method]) -> HeadlineTable:
    """What tells a method from the others, its runs, accuracy, transfer and cost."""
    keys = list(dict.fromkeys(key for method in methods for key in method.values))
    metrics = shown_metrics(methods)
    costs = [key for key in COSTS if any(m.cost(COSTS[key].of) is not None for m in methods)]
    best = {key: _best(methods, key) if key in HEADLINES else set() for key in metrics}
    rows = [
        (
            *_named(method, keys),
            Cell(text=str(len(method.done)), is_number=True),
            *(_measured(method, key, is_best=place in best[key]) for key in metrics),
            *(_cost(method, key) for key in costs),
        )
        for place, method in enumerate(methods)
    ]
    head = (
        *(_short(keys) or ["method"]),
        "n",
        *(all_metrics()[key].label for key in metrics),
        *(COST_HEADS[key] for key in costs),
    )
    return HeadlineTable(head=head, rows=tuple(rows), caption=_caption(methods, best))


def shown_metrics(methods: Sequence[Method]) -> list[str]:
    """Those that stand in the table."""
    found = [key for key in SHOWN if any(method.spread(key) for method in methods)]
    final, pooled = HEADLINES
    has_final = all(method.spread(final) for method in methods if method.done)
    return [key for key in found if key != pooled or not has_final]


def markdown(table: HeadlineTable) -> str:
    """A table as GitHub and most others read it."""
    head = [in_markdown(name) for name in table.head]
    lines = [_line(head), _line([_alignment(cell) for cell in table.rows[0]])]
    lines += [
        _line([_cell(cell, "±", "**{}**", in_markdown) for cell in row]) for row in table.rows
    ]
    return "\n".join((*lines, "", in_markdown(table.caption))) + "\n"


def latex(table: HeadlineTable) -> str:
    """A table for a paper; it needs the package booktabs."""
    columns = "".join("l" if not _is_number(cell) else "r" for cell in table.rows[0])
    head = " & ".join(map(in_latex, table.head))
    body = [
        " & ".join(_cell(cell, "$\\pm$", "\\textbf{{{}}}", in_latex) for cell in row) + r" \\"
        for row in table.rows
    ]
    lines = [
        "% \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{in_latex(table.caption)}}}",
        r"  \label{tab:clrun}",
        f"  \\begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        f"    {head} \\\\",
        r"    \midrule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def csv_of(methods: Sequence[Method]) -> str:
    """A row for each method with every metric: mean, SD, half of the 95 % interval, and n."""
    keys = list(dict.fromkeys(key for method in methods for key in method.values))
    metrics = [key for key in all_metrics() if any(method.spread(key) for method in methods)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")  # a terminal would show the other one
    parts = ("mean", "sd", "half_interval_95", "n")
    costs = {
        "memory_bytes": "bytes",
        "state_bytes": "kept",
        "train_macs": "macs",
        "seconds": "seconds",
    }
    numbers = [f"{metric}_{part}" for metric in metrics for part in parts]
    writer.writerow([*(keys or ["method"]), "runs", *numbers, *costs])
    for method in methods:
        spreads = [method.spread(key) or (None, None, None, 0) for key in metrics]
        names = [method.values.get(key, "") for key in keys] or [method.name]
        found = [method.cost(COSTS[key].of) for key in costs.values()]
        writer.writerow(
            [
                *map(spreadsheet_text, names),
                len(method.done),
                *("" if value is None else value for each in spreads for value in each),
                *("" if value is None else value for value in found),
            ]
        )
    return text.getvalue()


def _best(methods: Sequence[Method], metric: str) -> set[int]:
    """The methods that may be the best, where that leaves others out; one run tells nothing."""
    found = [{} if method.is_reference else method.by_seed(metric) for method in methods]
    able = [place for place, each in enumerate(found) if each]
    first = may_be_best([found[place] for place in able])
    telling = {able[place] for place in first if len(found[able[place]]) > 1}
    return telling if len(first) < len(able) else set()


def _caption(methods: Sequence[Method], best: Mapping[str, set[int]]) -> str:
    has_interval = any(len(method.done) > 1 for method in methods)
    parts = ["Mean over seeds ± half of its 95 % interval (Student's t)." if has_interval else ""]
    if any(best.values()):
        parts.append("Bold: may be the best, with 95 % confidence over all rows at once.")
    return " ".join(part for part in parts if part) or "One run each."


def _named(method: Method, keys: Sequence[str]) -> list[Cell]:
    if not keys:
        return [Cell(text=method.name)]
    texts = [method.values.get(key, "-") for key in keys]
    first = f"{texts[0]} (reference)" if method.is_reference else texts[0]
    return [Cell(text=text) for text in (first, *texts[1:])]


def _measured(method: Method, key: str, *, is_best: bool) -> Cell:
    is_signed = all_metrics()[key].is_signed
    return Cell(spread=method.spread(key), is_best=is_best, is_signed=is_signed)


def _cost(method: Method, key: str) -> Cell:
    value = method.cost(COSTS[key].of)
    text = "-" if value is None else f"{value / COST_DIGITS[key]:.3g}"
    return Cell(text=text, is_number=True)


def _short(keys: Sequence[str]) -> list[str]:
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]


def _is_number(cell: Cell) -> bool:
    return cell.is_number or cell.spread is not None or not cell.text


def _cell(cell: Cell, sign: str, strong: str, escaped: Callable[[str], str]) -> str:
    """A cell with the digits of the terminal's table."""
    if cell.spread is None:
        return escaped(cell.text or "-")
    said = f"{cell.spread.mean:{'+' if cell.is_signed else ''}.4f}"
    if cell.spread.half_width is not None:
        said += f" {sign} {cell.spread.half_width:.4f}"
    return strong.format(said) if cell.is_best else said


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _alignment(cell: Cell) -> str:
    return "---:" if _is_number(cell) else "---"
