from __future__ import annotations

import csv
import io
from types import SimpleNamespace

from clrun.profiling.operators import OUTSIDE, Operator, as_csv, operators


def test_operators_are_listed_slowest_first_with_their_share():
    def event(key, self_us, *, annotation=False):
        return SimpleNamespace(
            key=key,
            count=2,
            self_cpu_time_total=self_us,
            cpu_time_total=2 * self_us,
            self_device_time_total=0,
            device_time_total=0,
            self_cpu_memory_usage=0,
            self_device_memory_usage=0,
            input_shapes=[],
            stack=[],
            is_user_annotation=annotation,
        )

    events = [
        event("aten::add", 10.0),
        event("aten::mm", 60.0),
        event("forward", 20.0, annotation=True),
        event("backward", 10.0, annotation=True),
    ]

    found = operators(events)

    assert [(o.name, o.self_cpu_us) for o in found] == [
        ("aten::mm", 60.0),
        (OUTSIDE, 30.0),
        ("aten::add", 10.0),
    ]
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [float(row["self_cpu_share"]) for row in rows] == [0.6, 0.3, 0.1]


def test_without_operators_the_table_has_its_header_alone():
    assert as_csv([]).strip().split(",")[:2] == list(Operator.__dataclass_fields__)[:2]
