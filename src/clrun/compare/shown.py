"""A comparison on a terminal, and as text for a paper or a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.compare.compared import Compared
from clrun.compare.judged import Duel
from clrun.compare.methods import Method
from clrun.console.text_tables import csv_table, latex_table, markdown_table
from clrun.metrics.paired import LEVEL, fewest_pairs

Rows = Sequence[Sequence[str]]
"""A head and its rows"""


def print_comparison(console: Console, found: Compared) -> None:
    """Each method, each two of them, what is missing, and the verdict as the last line."""
    label, better = found.metric.label, found.metric.better
    console.print(Text(f"{label} ({found.metric.key}), {better} is better", style="bold"))
    console.print(_fitting(console, method_rows(found)))
    console.print(_fitting(console, duel_rows(found)))
    console.print(Text(caption(found), style="dim"), soft_wrap=True)
    for line in found.missing:
        console.print(Text(line, style="yellow"), soft_wrap=True)
    for line in found.notes:
        console.print(Text(line), soft_wrap=True)
    for line in found.unlike:
        console.print(Text(f"compared nevertheless: {line}", style="bold yellow"), soft_wrap=True)
    console.print(Text(found.verdict, style="bold"), soft_wrap=True)


def as_text(found: Compared, form: str) -> str:
    """The comparison in the form `md`, `latex` or `csv`."""
    return {"md": _markdown, "latex": _latex, "csv": _csv}[form](found)


def method_rows(found: Compared) -> Rows:
    """A row for each method: its runs, mean with half of its interval, standard deviation, n."""
    head = ["method", "runs", "mean", "SD", "n"]
    return [head, *(_method_row(method, found.metric.key) for method in found.methods)]


def duel_rows(found: Compared) -> Rows:
    """A row for each two methods: the difference, its interval, p, effect and superiority."""
    p = "p" if len(found.duels) == 1 else "p (Holm)"
    head = ["comparison", "difference", "95 % interval", p, "d_z", "P(better)", "n"]
    return [head, *(_duel_row(duel) for duel in found.duels)]


def caption(found: Compared) -> str:
    """What the columns are, in a few sentences."""
    tests = "exact" if all(duel.comparison.exact for duel in found.duels) else "drawn"
    several = len(found.duels)
    holm = f", adjusted for {several} comparisons (Holm)" if several > 1 else ""
    fewest = max((fewest_pairs(duel.comparison.beside) for duel in found.duels), default=0)
    few = any(duel.comparison.n < fewest for duel in found.duels)
    return (
        "mean ± half of its 95 % interval. Paired by seed and class order; difference: the first "
        f"less the second, interval by Student's t; p: {tests} paired permutation test{holm}, "
        f"a method is better where it is below {LEVEL:g}; d_z: mean / SD of the differences; "
        "P(better): share of the pairs in which the first is better."
        + (f" With fewer than {fewest} pairs no p is below {LEVEL:g}." if few else "")
    )


def _method_row(method: Method, metric: str) -> list[str]:
    spread, done, runs = method.spread(metric), len(method.completed), len(method.runs)
    count = str(runs) if done == runs else f"{done} of {runs}"
    if spread is None:
        return [method.name, count, "-", "-", "0"]
    half = "" if spread.half_width is None else f" ±{spread.half_width:.4f}"
    sd = "-" if spread.sd is None else f"{spread.sd:.4f}"
    return [method.name, count, f"{spread.mean:.4f}{half}", sd, str(spread.n)]


def _duel_row(duel: Duel) -> list[str]:
    found = duel.comparison
    is_open = found.low is None or found.high is None
    return [
        f"{duel.a} - {duel.b}",
        f"{found.mean:+.4f}",
        "-" if is_open else f"{found.low:+.4f} to {found.high:+.4f}",
        f"{found.p_holm:.4f}" if found.p_holm >= 0.0001 else "<0.0001",
        "-" if found.effect is None else f"{found.effect:+.2f}",
        f"{found.superiority:.2f}",
        str(found.n),
    ]


def _fitting(console: Console, rows: Rows) -> Table:
    """A table with frames where there is room for them, else without; the names are folded."""
    table = _table(rows)
    room = console.options.update(max_width=10_000)
    if console.measure(table, options=room).maximum > console.width:
        table.box, table.padding, table.pad_edge = None, (0, 1, 0, 0), False
    return table


def _table(rows: Rows) -> Table:
    head, *body = rows
    table = Table()
    table.add_column(head[0], overflow="fold", style="bold")
    for name in head[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in body:
        table.add_row(*map(Text, row))
    return table


def _markdown(found: Compared) -> str:
    from clrun.console.text_tables import in_markdown

    tables = (markdown_table(rows(found)) for rows in (method_rows, duel_rows))
    return "\n".join((*tables, *(f"{in_markdown(line)}\n" for line in _sentences(found))))


def _latex(found: Compared) -> str:
    rows: tuple[tuple[Callable[[Compared], Rows], str], ...] = (
        (method_rows, f"{found.metric.label}. {found.verdict}"),
        (duel_rows, " ".join([caption(found), *found.unlike])),
    )
    return "\n".join(latex_table(of(found), caption=words) for of, words in rows)


def _csv(found: Compared) -> str:
    """A row for each two methods, with all digits."""
    head = ("metric", "a", "b", "n", "difference", "sd", "low", "high", "p", "p_holm")
    rest = ("effect", "superiority", "winner", "alike")
    rows = [
        [
            *(found.metric.key, duel.a, duel.b, str(duel.comparison.n)),
            *map(_digits, (duel.comparison.mean, duel.comparison.sd)),
            *map(_digits, (duel.comparison.low, duel.comparison.high)),
            *map(_digits, (duel.comparison.p, duel.comparison.p_holm, duel.comparison.effect)),
            *(_digits(duel.comparison.superiority), duel.winner or ""),
            "no" if found.unlike else "yes",
        ]
        for duel in found.duels
    ]
    return csv_table([[*head, *rest], *rows])


def _sentences(found: Compared) -> Iterator[str]:
    yield found.verdict
    yield caption(found)
    yield from (f"Compared nevertheless: {line}" for line in found.unlike)
    yield from found.missing
    yield from found.notes


def _digits(value: float | None) -> str:
    return "" if value is None else repr(value)
