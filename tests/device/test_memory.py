"""What can never fit into this machine."""

from __future__ import annotations

import subprocess
import sys

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


def test_a_job_of_a_batch_system_has_what_its_group_was_given(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CONTAINER", tmp_path / "memory.max")
    monkeypatch.setattr(memory, "GROUP", tmp_path / "cgroup")
    (tmp_path / "cgroup").write_text("0::/slurm/job_7/step_0\n")
    (tmp_path / "slurm" / "job_7" / "step_0").mkdir(parents=True)
    (tmp_path / "slurm" / "job_7" / "step_0" / "memory.max").write_text("max\n")
    (tmp_path / "slurm" / "job_7" / "memory.max").write_text("5000000\n")

    assert physical_bytes() == 5_000_000


def test_a_process_has_what_ulimit_leaves_it():
    code = "from clrun.device.memory import physical_bytes; print(physical_bytes())"
    limited = f"ulimit -v 3000000; {sys.executable} -c '{code}'"

    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60)

    assert int(done.stdout) <= 3_000_000 * 1024
