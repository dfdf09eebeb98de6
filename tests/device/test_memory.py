"""What can never fit into this machine."""

from __future__ import annotations

import pytest

from clrun.device import memory
from clrun.device.memory import physical_bytes, require_memory
from clrun.errors import ConfigError


def test_the_memory_of_this_machine_is_known_and_plausible():
    there = physical_bytes()

    assert there is not None
    assert 10**8 < there < 10**14


def test_a_container_has_what_it_was_given(tmp_path, monkeypatch):
    whole = physical_bytes()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CONTAINER", limit)

    limit.write_text("4000000\n")
    assert physical_bytes() == 4_000_000
    limit.write_text("max\n")
    assert physical_bytes() >= whole


def test_what_fits_passes_and_what_does_not_is_one_line_with_both_sizes(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text("4000000000")
    monkeypatch.setattr(memory, "CONTAINER", limit)

    require_memory(4_000_000_000, "a.b=1: rows", "Use less.")
    with pytest.raises(ConfigError) as refused:
        require_memory(4_100_000_000, "a.b=1: rows", "Use less.")

    line = "a.b=1: rows would take 4.1 GB, and this machine has 4.0 GB. Use less."
    assert refused.value.problems == [line]
