"""clrun as it is installed: from its wheel, and with options from another package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installing import PACKAGES, ROOT, clrun_in, install


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clrun and another package."""
    site = tmp_path_factory.mktemp("site")
    install(site, ROOT, PACKAGES / "clrun_freeze")
    return site


def test_the_wheel_has_its_configs_inside(site: Path) -> None:
    shown = clrun_in(site, "--info", "searchpath")

    assert shown.returncode == 0
    assert str(site / "clrun" / "conf") in shown.stdout


def test_the_wheel_runs_from_anywhere(site: Path, tmp_path: Path) -> None:
    done = clrun_in(site, "strategy=naive", "strategy.train_epochs=1", f"output_root={tmp_path}")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "latest" / "results.json").is_file()


def test_the_other_packages_strategy_is_listed_with_its_origin(site: Path) -> None:
    listed = clrun_in(site, "list", "strategies")

    assert "freeze" in listed.stdout
    assert "Learns the first experiences only. [clrun_freeze.conf]" in listed.stdout


def test_the_other_packages_strategy_runs_by_name(site: Path, tmp_path: Path) -> None:
    done = clrun_in(
        site, "strategy=freeze", "strategy.train_epochs=2", f"hydra.run.dir={tmp_path / 'run'}"
    )

    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    first, *later = results["accuracy_matrix"]
    assert first[0] > 0.9
    assert all(row == first for row in later)


def test_the_other_packages_keys_are_checked_like_ours(site: Path) -> None:
    refused = clrun_in(site, "strategy=freeze", "strategy.learnt_experiences=0", "+strategy.x=1")

    assert refused.returncode == 2
    assert "strategy.learnt_experiences=0: must be at least 1." in refused.stderr
    assert "strategy.x=1: there is no such key." in refused.stderr
