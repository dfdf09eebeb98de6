"""The proofs that a sweep loses no job and changes no number, in their smallest form."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_sweep.py"


def proved(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_sweep_whose_processes_are_killed_anywhere_is_that_of_hydras_own_loop(tmp_path):
    words = ("--jobs", "16", "--kills", "6", "--drivers", "2", "--seed", "13")

    proof = proved(*words, "--keep", str(tmp_path / "kept"))

    assert proof.returncode == 0, proof.stdout + proof.stderr
    found = re.search(r"16 of 16 jobs identical +(\d+) kills .* ([23]) commands", proof.stdout)
    assert found is not None, proof.stdout
    assert int(found[1]) >= 4  # a fast machine may be done before the last ones


@pytest.mark.slow
def test_jobs_that_fail_in_any_way_take_no_others_with_them(tmp_path):
    proof = proved("--failures", "--keep", str(tmp_path / "kept"))

    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "2 jobs completed, 10 failed, exit code 1" in proof.stdout
