"""What the machine is, and what the tests say on it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch

import clrun
from clrun.device import processor
from proving_cuda.row import Row, Rows, Where, judged

ROOT = Path(__file__).resolve().parents[2]


def environment(where: Where) -> Rows:
    """Versions, processor and GPU."""
    yield Row("environment", "python", platform.python_version())
    yield Row("environment", "clrun", clrun.__version__)
    yield Row("environment", "commit", _commit())
    yield Row("environment", "torch", f"{torch.__version__}, CUDA {torch.version.cuda or 'none'}")
    yield Row("environment", "processor", f"{processor.name()}, {os.cpu_count()} cores")
    if not where.is_cuda:
        yield Row("environment", "GPU", "none is asked for (--device cpu)")
        return
    is_there = torch.cuda.is_available()
    yield Row("environment", "CUDA device", _gpu() if is_there else "none", judged(is_there))


def tests(where: Where) -> Rows:
    """The tests of the device, and what holds of every strategy, on it."""
    ladder = "tests/strategies/test_ladder.py"
    if where.is_cuda:
        yield _tested(where, "tests/device/test_cuda.py")
        yield _tested(where, ladder, "-k", "resumed")
    else:  # in one process
        few = "test_rows or (resumed and naive-sgd-first)"
        yield _tested(where, "tests/device/test_rows.py", ladder, "-k", few)


def _tested(where: Where, *words: str) -> Row:
    """The last line of pytest, and of the first failures their names."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=line", "-rf", *words]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CLRUN_TEST_DEVICE": where.device},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in ended.stdout.splitlines() if line.strip()]
    failures = [re.sub(r"^FAILED tests/", "", x)[:120] for x in lines if x.startswith("FAILED")]
    said = lines[-1] if lines else ended.stderr.strip().splitlines()[-1][:200]
    return Row("tests", words[0], "; ".join([said, *failures[:4]]), judged(ended.returncode == 0))


def _gpu() -> str:
    found = torch.cuda.get_device_properties(0)
    return (
        f"{found.name}, {found.total_memory / 2**30:.0f} GiB, compute {found.major}.{found.minor}, "
        f"cuDNN {torch.backends.cudnn.version()}"
    )


def _commit() -> str:
    ended = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.strip() or "not known"
