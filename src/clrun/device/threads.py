"""How many CPU threads anybody may ask for. No torch."""

from __future__ import annotations

import os

MANY_THREADS = 64
"""Allowed on any machine, so that a run of a larger one can be repeated to the last bit."""


def require_few_threads(threads: int | None) -> None:
    """Refuse more threads than can help.

    Raises:
        ValueError: it is more.
    """
    processors = os.cpu_count() or 1
    most = max(MANY_THREADS, 4 * processors)
    if threads is not None and threads > most:
        raise ValueError(
            f"threads={threads}: this machine has {processors} processors, and more threads only "
            f"wait for each other. Use at most {most}, or null."
        )
