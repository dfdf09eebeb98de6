"""The most memory in use during each phase. No torch here: it is sampled while that is imported."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clrun.profiling.clocks import Clocks

SECONDS = 0.01
"""Seconds between two samples. A peak that is the highest so far is found however short it is."""

Bytes = Callable[[], int]


class Sampler:
    """Samples the memory in use for the clocks, from a thread of its own."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.device: tuple[Bytes, Bytes] | None = None
        """(in use, most so far) of an accelerator, once there is one"""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        highest, highest_on_device = peak_bytes(), 0
        while not self._stopped.wait(SECONDS):
            peak, held = peak_bytes(), None
            used = peak if peak > highest else rss_bytes()
            highest = max(highest, peak)
            if self.device is not None:
                now, most = self.device
                held = most() if most() > highest_on_device else now()
                highest_on_device = max(highest_on_device, held)
            self.clocks.sampled(used, held)


@contextmanager
def sampled_memory(clocks: Clocks) -> Iterator[Sampler]:
    """Memory is sampled inside."""
    sampler = Sampler(clocks)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def peak_bytes() -> int:
    """Most resident memory of the process so far, or since `forget_peak`."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Count the most resident memory from here on, where the system can; else do nothing."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux


def rss_bytes() -> int | None:
    """Resident memory now; None where the system does not show it."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
