"""Out of memory is one line that names what to lower."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
import torch

import clrun
from clrun.errors import ConfigError, OutOfMemory, StorageError
from clrun.runner.out_of_memory import is_out_of_memory, memory_errors


def too_much() -> None:
    torch.empty(1 << 60, dtype=torch.uint8)


def said(words: str) -> RuntimeError:
    return RuntimeError(words)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
    said(
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 80000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    said("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    said("MPS backend out of memory (MPS allocated: 1.00 GB)"),
    said("can't start new thread"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
SOMETHING_ELSE = [
    said("mat1 and mat2 shapes cannot be multiplied"),
    OSError(errno.ENOSPC, "No space left on device"),
    ValueError("out of memory"),
    StorageError("out of memory"),
]


@pytest.fixture(scope="module")
def config():
    return clrun.compose(["strategy=ar1", "benchmark.image_size=64"])


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
@pytest.mark.parametrize("has_started", [False, True])
def test_each_way_to_say_it_becomes_one_line_with_the_keys_as_they_are_set(
    error, has_started, config
):
    kind = OutOfMemory if has_started else ConfigError
    with pytest.raises(kind) as caught, memory_errors(config, has_started=has_started):
        raise error

    line = str(caught.value)
    assert line.startswith("out of memory")
    assert "\n" not in line
    for key in ("strategy.train_mb_size=128", "strategy.rm_sz=1500", "benchmark.image_size=64"):
        assert key in line
    assert line.endswith("model=mobilenet_v1.")
    assert caught.value.exit_code == (1 if has_started else 2)


@pytest.mark.parametrize("error", SOMETHING_ELSE, ids=repr)
def test_other_errors_stay_what_they_are(error, config):
    with pytest.raises(type(error)) as caught, memory_errors(config):
        raise error

    assert caught.value is error


def test_pytorch_itself_is_understood(config):
    with pytest.raises(RuntimeError) as caught:
        too_much()

    assert is_out_of_memory(caught.value)
    more = r"\(1152921504606846976 bytes more were asked for\)"
    with pytest.raises(OutOfMemory, match=more), memory_errors(config):
        too_much()


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path

import clrun
from clrun.errors import OutOfMemory
from clrun.runner.prepare import ready
from clrun.runner.run import run

def leave_little(state):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))

try:
    run(ready(clrun.compose(sys.argv[1:])), Path("run"), at_pause=leave_little)
except OutOfMemory as error:
    print(error)
"""


def test_a_run_that_runs_out_of_memory_says_so_in_its_record(tmp_path):
    words = ["strategy=naive", "model=cnn", "benchmark.image_size=256", "device=cpu"]
    words += ["benchmark.limit_per_class=5"]

    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert done.stdout.startswith("out of memory"), done.stderr
    assert "strategy.train_mb_size=32" in done.stdout
    assert "benchmark.image_size=256" in done.stdout
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"].startswith("OutOfMemory: out of memory")
