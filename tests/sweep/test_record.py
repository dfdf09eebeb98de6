"""sweep.json, and what is said of one that is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic_sweep import grid, make_sweep

from clrun.errors import ConfigError
from clrun.sweep.manifest import read_manifest
from clrun.sweep.record import read_record


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("swept", [None]),
        ("started", None),
        ("engine", None),
        ("engine", []),
        ("repeats", 5),
        ("command", {}),
        ("output_root", 5),
    ],
)
def test_a_part_of_another_kind_is_damage_that_is_named(
    key: str, value: Any, tmp_path: Path
) -> None:
    make_sweep(tmp_path, grid(1, 1))
    record = json.loads((tmp_path / "sweep.json").read_text())
    assert read_record(tmp_path).swept == tuple(record["swept"])
    (tmp_path / "sweep.json").write_text(json.dumps(record | {key: value}))

    with pytest.raises(ConfigError, match=rf"sweep.json: is damaged: {key}="):
        read_record(tmp_path)


def test_what_is_nested_too_deep_to_be_read_is_damaged(tmp_path: Path) -> None:
    make_sweep(tmp_path, grid(1, 1))
    (tmp_path / "sweep.json").write_text("[" * 100_000)
    (tmp_path / "sweep.jsonl").write_text("[" * 100_000)

    with pytest.raises(ConfigError, match=r"sweep.json: is damaged: "):
        read_record(tmp_path)
    with pytest.raises(ConfigError, match=r"sweep.jsonl: is damaged: "):
        read_manifest(tmp_path)
