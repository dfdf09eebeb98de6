"""Memory that a run keeps."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

import clrun
from clrun.fast.heap import kept_heap
from clrun.fast.process import quick_process
from clrun.runner.prepare import build

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not on glibc")
LARGE = 48 * 2**20
"""Bytes; above what glibc ever keeps by itself."""


def fresh_pages(times: int) -> int:
    """Pages the system had to clear while such memory was filled so often."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(LARGE // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_large_tensors_reuse_the_pages_of_those_before():
    without = fresh_pages(5)

    with kept_heap(tricks=True):
        fresh_pages(10)  # until there is room for what the first ones left between them
        kept = fresh_pages(5)

    assert without > 100
    assert kept < without / 10


def test_afterwards_the_system_has_its_memory_back():
    before = resident_bytes()

    with kept_heap(tricks=True):
        tensors = [torch.ones(LARGE // 4) for _ in range(4)]
        del tensors
        inside = resident_bytes()

    assert inside - before > 3 * LARGE
    assert resident_bytes() - before < LARGE
    assert fresh_pages(5) > 100


@pytest.mark.parametrize("tricks", ["on", "off"])
def test_a_run_on_the_cpu_keeps_its_heap(tricks):
    device = build(clrun.compose(["device=cpu", f"device.tricks={tricks}"]).nodes["device"])

    with quick_process(device):
        fresh_pages(10)
        inside = fresh_pages(5)

    assert (inside < fresh_pages(5) / 10) == (tricks == "on")
