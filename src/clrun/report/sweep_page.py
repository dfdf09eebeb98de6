"""The page of a sweep: its points, what its keys do, what it cost, and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clrun.console.sweep_table import best_lines
from clrun.records.alike import Method
from clrun.records.outcome import COMPLETED, FAILED
from clrun.report.environment import fragment
from clrun.report.page import Banner, Page, Section
from clrun.report.protocol import protocol
from clrun.report.run_numbers import definitions_section
from clrun.report.sweep_curves import MOST_CURVES, so_far_section
from clrun.report.sweep_fronts import fronts_section
from clrun.report.sweep_jobs import jobs_section, sweep_provenance_section
from clrun.report.sweep_keys import keys_section
from clrun.report.sweep_points import points_section
from clrun.report.sweep_view import SweepView
from clrun.report.tables import shown_metrics
from clrun.sweep.methods import methods_in
from clrun.sweep.summary import rows


def sweep_page(path: Path) -> Page:
    """All that a sweep's folder says, also of one that still goes on.

    Raises:
        ConfigError: the folder holds no sweep, or its manifest is damaged.
    """
    view = SweepView(path=path, rows=tuple(rows(path)))
    methods = methods_in([str(path)], "report").shown
    by_values = {tuple(method.values.items()): method for method in methods}
    curves = [*view.ranked[:MOST_CURVES], *view.references]
    best = [by_values.get(tuple(point.values.items())) for point in curves]
    count = len(view.ranked)
    note = f"The best {MOST_CURVES} of {count} points." if count > MOST_CURVES else ""
    sections = (
        points_section(view),
        keys_section(view),
        fronts_section(view.ranked, view.keys, view.label),
        so_far_section([method for method in best if method is not None], note),
        jobs_section(view),
        methods_section(methods),
        sweep_provenance_section(view),
        definitions_section({key for row in view.rows for key in row.metrics}),
    )
    return Page(
        kind="sweep report",
        title=path.absolute().name,
        verdict=_verdict(view),
        facts=list(_facts(view)),
        banners=list(_banners(view)),
        sections=[section for section in sections if section is not None],
    )


def methods_section(methods: tuple[Method, ...]) -> Section | None:
    """What was done in words, for a paper; None where nothing was."""
    if not methods:
        return None
    sentences = protocol(methods, shown_metrics(methods))
    return Section("words", "In words", fragment("methods.html", sentences=sentences))


def _verdict(view: SweepView) -> str:
    if view.best is not None:
        line, rivals = best_lines(view.best)[0], len(view.best.rivals)
        others = f"{rivals} other{'' if rivals == 1 else 's'}"
        sure = f"{others} cannot be told from it" if rivals else "it is ahead of every other"
        return f"{line[0].upper()}{line[1:]}; with 95 % confidence {sure}."
    if len(view.ranked) == 1 and view.ranked[0].spread is not None:
        spread = view.ranked[0].spread
        half = "" if spread.half_width is None else f" ±{spread.half_width:.4f}"
        runs = f"{spread.n} run{'' if spread.n == 1 else 's'}"
        held = [f"{p.name} {p.mean:.4f}" for p in view.references if p.spread is not None]
        against = f"; references: {', '.join(held)}" if held else ""
        return f"One point alone has a number: accuracy {spread.mean:.4f}{half} ({runs}){against}."
    return "No job has come to a number yet."


def _facts(view: SweepView) -> Iterator[tuple[str, str]]:
    yield "points", f"{len(view.points):,}"
    yield "jobs", f"{len(view.rows):,}"
    for state, count in view.counts().items():
        yield state, f"{count:,}"


def _banners(view: SweepView) -> Iterator[Banner]:
    """What has to be known before any number is read."""
    counts, total = view.counts(), len(view.rows)
    if failed := counts.get(FAILED, 0):
        yield Banner(
            "bad",
            f"{failed:,} of {total:,} jobs failed and are in no number; "
            "why stands under Jobs. Points are of the runs that completed.",
        )
    left = total - failed - counts.get(COMPLETED, 0)
    if left:
        said = ", ".join(f"{n} {s}" for s, n in counts.items() if s not in (COMPLETED, FAILED))
        yield Banner(
            "note",
            f"This sweep is not over: {said} of {total:,} jobs. clrun report makes it again.",
        )
