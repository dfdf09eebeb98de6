"""clrun and other packages in a folder, as an installer puts them there, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "tests" / "packages"
BUILD = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"


def install(site: Path, *projects: Path) -> None:
    """Build the wheel of each project and unpack it into the folder."""
    for project in projects:
        words = [sys.executable, "-c", BUILD, str(site)]
        built = subprocess.run(words, cwd=project, capture_output=True, text=True, check=True)
        with zipfile.ZipFile(site / built.stdout.split()[-1]) as wheel:
            wheel.extractall(site)


def clrun_in(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the folder's clrun, started from the root of the file system."""
    return subprocess.run(
        [sys.executable, "-m", "clrun", *words],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
