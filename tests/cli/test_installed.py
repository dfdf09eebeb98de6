"""clrun as it is installed: from its wheel, and with options from another package."""

from __future__ import annotations

import json
import re
from email import message_from_string
from pathlib import Path

import pytest
from installing import PACKAGES, ROOT, clrun_in, install

import clrun


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


def test_the_wheel_says_its_version_and_which_pythons_it_is_for(site: Path) -> None:
    (about,) = site.glob("clrun-*.dist-info/METADATA")
    metadata = message_from_string(about.read_text())
    readme = (ROOT / "README.md").read_text()

    assert metadata["Version"] == clrun.__version__
    assert f"clrun {clrun.__version__}" in clrun_in(site, "version").stdout.splitlines()
    bounds = re.fullmatch(r"<3\.([0-9]+),>=3\.([0-9]+)", metadata["Requires-Python"])
    assert bounds is not None
    spans = set(re.findall(r"Python (3\.[0-9]+ to 3\.[0-9]+)", readme))
    assert spans == {f"3.{bounds[2]} to 3.{int(bounds[1]) - 1}"}
    assert (
        f"(3, {bounds[2]}) <= sys.version_info < (3, {bounds[1]})"
        in (ROOT / "scripts" / "environment.sh").read_text()
    )


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
