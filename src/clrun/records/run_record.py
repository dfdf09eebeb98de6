"""run.json: what was run, on what, with which outcome."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.records.identity import code_of

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig


GIT_PLACES = os.pathsep.join((os.defpath, "/usr/local/bin", "/opt/homebrew/bin"))
"""Where git is looked for: not in PATH, which a configuration may have set."""

PACKAGES = ("clrun", "torch", "torchvision", "hydra-core", "omegaconf", "numpy", "scikit-learn")


def started(config: RunConfig, folder: Path, **machine: Any) -> dict[str, Any]:
    """The record of a run that begins now, on this machine (`Prepared.machine`)."""
    seeds = {"seed": config.seed}
    order_seed = config.nodes["benchmark"].values.get("class_order_seed")
    if order_seed is not None:
        seeds["class_order_seed"] = order_seed
    return {
        "schema": 1,
        "run_id": folder.name,
        "run_name": config.root.run_name,
        "label": config.label(),
        "config_hash": config.hash(),
        "config": config.plain(),
        "status": "running",
        "error": None,
        "seeds": seeds,
        "versions": versions(),
        "git_commit": git_commit(),
        "code": code_of(config),
        **machine,
        "command": shlex.join(config.command()),
        "output_root": os.path.abspath(config.root.output_root),
        "started": utc_now(),
        "ended": None,
        "seconds": None,
    }


def continued(record: Mapping[str, Any], differences: Sequence[str]) -> dict[str, Any]:
    """What changes when a run that did not finish goes on, although so much is different."""
    now = {"at": utc_now(), "process": f"{os.getpid()} on {platform.node()}"}
    before = record.get("resumed")
    times = [*(before if isinstance(before, list) else []), {**now, "forced": list(differences)}]
    return {"status": "running", "error": None, "ended": None, "seconds": None, "resumed": times}


def ended(status: str, error: str | None = None) -> dict[str, Any]:
    """What changes when a run ends: completed, failed or interrupted."""
    return {"status": status, "error": error, "ended": utc_now()}


def utc_now() -> str:
    """Now in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Python's and each package's version; "not installed" where it has none."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def git_commit() -> str | None:
    """The commit of clrun's own checkout; None when installed from a wheel or without git."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None
    git = shutil.which("git", path=GIT_PLACES)
    if git is None:
        return None
    try:
        answer = subprocess.run(
            [git, "-c", f"safe.directory={folder}", "-C", str(folder), "rev-parse", "HEAD"],
            env={"PATH": GIT_PLACES, "LC_ALL": "C", "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
