"""clrun as it is installed: from its wheel, and with options from another package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clrun's wheel and that of another package, unpacked as an installer does."""
    site = tmp_path_factory.mktemp("site")
    for project in (ROOT, ROOT / "tests" / "packages" / "clrun_freeze"):
        built = subprocess.run(
            [
                sys.executable,
                "-c",
                "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))",
                str(site),
            ],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
        with zipfile.ZipFile(site / built.stdout.split()[-1]) as wheel:
            wheel.extractall(site)
    return site


def _clrun(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The wheel's clrun, started from the root of the file system."""
    return subprocess.run(
        [sys.executable, "-m", "clrun", *words],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_has_its_configs_inside(site: Path) -> None:
    shown = _clrun(site, "--info", "searchpath")

    assert shown.returncode == 0
    assert str(site / "clrun" / "conf") in shown.stdout


def test_the_wheel_runs_from_anywhere(site: Path, tmp_path: Path) -> None:
    done = _clrun(site, "strategy=naive", "strategy.train_epochs=1", f"output_root={tmp_path}")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "latest" / "results.json").is_file()


def test_the_other_packages_strategy_is_listed_with_its_origin(site: Path) -> None:
    listed = _clrun(site, "list", "strategies")

    assert "freeze" in listed.stdout
    assert "Learns the first experiences only. [clrun_freeze.conf]" in listed.stdout


def test_the_other_packages_strategy_runs_by_name(site: Path, tmp_path: Path) -> None:
    done = _clrun(
        site, "strategy=freeze", "strategy.train_epochs=2", f"hydra.run.dir={tmp_path / 'run'}"
    )

    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    first, *later = results["accuracy_matrix"]
    assert first[0] > 0.9
    assert all(row == first for row in later)


def test_the_other_packages_keys_are_checked_like_ours(site: Path) -> None:
    refused = _clrun(site, "strategy=freeze", "strategy.learnt_experiences=0", "+strategy.x=1")

    assert refused.returncode == 2
    assert "strategy.learnt_experiences=0: must be at least 1." in refused.stderr
    assert "strategy.x=1: there is no such key." in refused.stderr
