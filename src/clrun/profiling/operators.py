"""The operators of a trace as a table: which took the time."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OUTSIDE = "(between operators)"
"""Python, and whatever else a part does that is no operator of PyTorch. Includes what the profiler
itself costs there."""


@dataclass
class Operator:
    """One operator, over all its calls in the traced updates."""

    name: str
    calls: int = 0
    self_cpu_us: float = 0.0
    """without the operators it calls"""
    cpu_us: float = 0.0
    self_device_us: float = 0.0
    device_us: float = 0.0
    self_cpu_bytes: int = 0
    """allocated less freed; 0 without --memory"""
    self_device_bytes: int = 0
    shapes: str = ""
    stack: str = ""

    @classmethod
    def of(cls, event: Any) -> Operator:
        """The profiler's averages of one operator."""
        return cls(
            name=event.key,
            calls=event.count,
            self_cpu_us=event.self_cpu_time_total,
            cpu_us=event.cpu_time_total,
            self_device_us=event.self_device_time_total,
            device_us=event.device_time_total,
            self_cpu_bytes=event.self_cpu_memory_usage,
            self_device_bytes=event.self_device_memory_usage,
            shapes=str(event.input_shapes) if event.input_shapes else "",
            stack=" < ".join(event.stack),
        )


def operators(events: Sequence[Any]) -> list[Operator]:
    """One for each operator, slowest first; what lies between operators is one entry."""
    found = [Operator.of(event) for event in events if not event.is_user_annotation]
    outside = Operator(OUTSIDE)
    for event in events:
        if event.is_user_annotation:
            outside.calls += event.count
            outside.self_cpu_us += event.self_cpu_time_total
    outside.cpu_us = outside.self_cpu_us
    if outside.calls:
        found.append(outside)
    return sorted(found, key=lambda o: (-o.self_device_us, -o.self_cpu_us, o.name))


def as_csv(rows: Sequence[Operator]) -> str:
    """For a spreadsheet, with each operator's share of all self CPU time."""
    total = sum(row.self_cpu_us for row in rows) or 1.0
    text = io.StringIO()
    fields = list(Operator.__dataclass_fields__)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*fields, "self_cpu_share"])
    for row in rows:
        values = [getattr(row, name) for name in fields]
        shown = [f"{v:.3f}" if isinstance(v, float) else v for v in values]
        writer.writerow([*shown, f"{row.self_cpu_us / total:.6f}"])
    return text.getvalue()
