"""The proof that runs which are killed anywhere go on to the same bits, in its smallest form."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "prove_resume.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "words", "said"),
    [
        ("naive_adam", ["1"], r"1 of 1 identical +\d+ kills"),
        ("ar1_cnn", ["0", "--signals", "1"], r"5 of 5 identical +\d signals"),
    ],
)
def test_runs_that_are_killed_or_interrupted_anywhere_go_on_to_the_same_bits(
    case, words, said, tmp_path
):
    place = ["--only", case, "--seed", "7", "--keep", str(tmp_path / "kept")]

    proof = subprocess.run(
        [sys.executable, SCRIPT, *words, *place],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert re.search(f"{case} +{said}", proof.stdout)
