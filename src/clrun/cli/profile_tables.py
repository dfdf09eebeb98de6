"""What `clrun profile` prints: phases with their parts, and the operators that took longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.profiling.clocks import REST
from clrun.profiling.operators import Operator

SHOWN = 0.005
"""Parts with a smaller share of the whole time are left to summary.json."""


def print_profile(
    console: Console, summary: Mapping[str, Any], operators: Sequence[Operator], folder: Path
) -> None:
    """The tables, and where the files are."""
    console.print(phases_table(summary))
    trace = summary["trace"]
    first, count, experience = trace["first_update"], trace["updates"], trace["experience"]
    if count:
        console.print(operators_table(operators))
        _line(console, f"traced: {count} updates of experience {experience}, from {first} on")
    else:
        _line(
            console,
            f"experience {experience} ended within its warm-up, so there is no trace. "
            "Use --warm-up 0 or another --experience.",
        )
    console.print(Text(f"Profile: {folder}"), soft_wrap=True)


def phases_table(summary: Mapping[str, Any]) -> Table:
    """Where the time went, phase by phase."""
    on_device = any(phase["peak_device_bytes"] for phase in summary["phases"].values())
    threads = summary["threads"]
    plural = "" if threads == 1 else "s"
    table = Table(title=f"Time on {summary['device']}, {threads} CPU thread{plural}")
    table.add_column("phase", no_wrap=True)
    for name in ("calls", "wall s", "CPU s", "share", "peak MB", *["device MB"] * on_device):
        table.add_column(name, justify="right", no_wrap=True)
    wall = summary["wall_seconds"]
    for name, phase in summary["phases"].items():
        peaks = [_megabytes(phase["peak_rss_bytes"])]
        peaks += [_megabytes(phase["peak_device_bytes"])] * on_device
        table.add_row(
            Text(name, style="bold"), "", *_seconds(phase), f"{phase['share']:.1%}", *peaks
        )
        shown = {k: v for k, v in phase["parts"].items() if v["wall_seconds"] >= SHOWN * wall}
        for part, spent in shown.items() if list(shown) != [REST] else ():
            share = f"{spent['wall_seconds'] / wall:.1%}"
            cells = (f"  {part}", f"{spent['calls']:,}", *_seconds(spent), share)
            table.add_row(*cells, style="dim")
    table.add_section()
    table.add_row("all", "", *_seconds(summary), "100.0%")
    return table


def operators_table(operators: Sequence[Operator]) -> Table:
    """The slowest operators of the traced updates."""
    on_device = any(o.device_us for o in operators)
    shapes, memory = any(o.shapes for o in operators), any(o.self_cpu_bytes for o in operators)
    table = Table(title="Slowest operators of the traced updates")
    table.add_column("operator", max_width=48)  # these two give way where it is narrow
    if shapes:
        table.add_column("shapes", max_width=40)
    titles = ["calls", *["device ms"] * on_device, "self ms", "all ms", *["self MB"] * memory]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True, min_width=len(title))
    for o in operators:
        row: list[str | Text] = [_cut(o.name), *[_cut(o.shapes)] * shapes, f"{o.calls:,}"]
        row += [f"{o.self_device_us / 1000:.2f}"] * on_device
        row += [f"{o.self_cpu_us / 1000:.2f}", f"{o.cpu_us / 1000:.2f}"]
        row += [_megabytes(o.self_cpu_bytes + o.self_device_bytes)] * memory
        table.add_row(*row)
    return table


def _cut(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _seconds(spent: Mapping[str, float]) -> tuple[str, ...]:
    both = (spent["wall_seconds"], spent["cpu_seconds"])
    return tuple(f"{value:.3f}" if value < 1000 else f"{value:.1f}" for value in both)


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.1f}"


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)
