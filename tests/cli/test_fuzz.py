"""Five seconds of random words and files; `scripts/fuzz_config SECONDS [SEED]` takes longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_whatever_is_asked_for_is_accepted_or_refused_in_lines(tmp_path: Path) -> None:
    path = os.pathsep.join(
        [str(TESTS.parent / "src"), str(TESTS), os.environ.get("PYTHONPATH", "")]
    )

    done = subprocess.run(
        [sys.executable, "-m", "fuzzing", "5", "20261128"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "commands: " in done.stdout
