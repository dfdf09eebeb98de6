"""The section of what a run costs: time by phase, work, memory, and estimates marked as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from clrun.records.past_run import PastRun
from clrun.report import numbers
from clrun.report.bars import Bar, Bars
from clrun.report.environment import fragment
from clrun.report.page import Section

PHASES = {
    "setup": "setup: model, data, checks",
    "train": "training",
    "memory": "choosing what the memory keeps",
    "eval": "evaluation",
    "checkpoint": "saving states",
}


class Item(NamedTuple):
    """A row of the table."""

    key: str
    label: str
    text: str
    note: str


def _joules(number: float | None) -> str:
    text = numbers.short(number)
    return f"{text}J" if text[-1].isalpha() else f"{text} J"


LABELS: Mapping[str, tuple[str, Callable[[float | None], str]]] = {
    "train_steps": ("updates", numbers.count),
    "patterns_seen": ("rows trained on, replayed ones too", numbers.count),
    "replayed_patterns": ("of these replayed", numbers.count),
    "evaluated_patterns": ("rows evaluated", numbers.count),
    "train_macs": ("multiply-accumulates of training", numbers.short),
    "eval_macs": ("multiply-accumulates of evaluation", numbers.short),
    "peak_rss_bytes": ("peak memory of the process", numbers.size),
    "peak_device_bytes": ("peak memory on the device", numbers.size),
    "memory_bytes": ("replay memory", numbers.size),
    "state_bytes.rows": ("what the method keeps: rows", numbers.size),
    "state_bytes.parameters": ("what the method keeps: parameters", numbers.size),
    "state_bytes.statistics": ("what the method keeps: statistics", numbers.size),
    "energy_joules_estimate": ("energy, an estimate from watts", _joules),
}


def cost_section(run: PastRun) -> Section:
    """The section; a run that did not come to say it has none of the numbers."""
    cost = run.cost
    html = fragment(
        "run_cost.html",
        wall=_bars("Wall seconds by phase", cost.get("wall_seconds")),
        cpu=_bars("CPU seconds by phase", cost.get("cpu_seconds")),
        items=list(_items(cost, run.results.get("notes") or {})),
    )
    return Section("cost", "Cost", html)


def _bars(caption: str, seconds: Any) -> Bars | None:
    if not isinstance(seconds, Mapping) or not seconds:
        return None
    total = sum(value for value in seconds.values() if isinstance(value, int | float))
    return Bars(
        caption=f"{caption}, {numbers.seconds(total)} in all",
        bars=[
            Bar(str(PHASES.get(phase, phase)), value, numbers.seconds(value))
            for phase, value in seconds.items()
        ],
    )


def _items(cost: Mapping[str, Any], notes: Mapping[str, Any]) -> list[Item]:
    found = []
    for key, value in _flat(cost).items():
        label, write = LABELS.get(key, (key.replace("_", " ").replace(".", ": "), _written(key)))
        text = write(value) if value is not None else "not known"
        found.append(Item(key, label, text, str(notes.get(key, ""))))
    return found


def _flat(cost: Mapping[str, Any]) -> dict[str, float | None]:
    """Single numbers, those of a part after its name; seconds have their own drawing."""
    found: dict[str, float | None] = {}
    for key, value in cost.items():
        if key.endswith("_seconds"):
            continue
        if isinstance(value, Mapping):
            found |= {f"{key}.{k}": v for k, v in value.items() if _is_number(v)}
        elif _is_number(value):
            found[key] = value
    return found


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _written(key: str) -> Callable[[float | None], str]:
    return numbers.size if "bytes" in key else numbers.short
