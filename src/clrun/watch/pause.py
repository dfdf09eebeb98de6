"""The time between two looks at a folder, of which little is spent on looking."""

from __future__ import annotations

import time
from time import sleep

SHARE = 0.02
"""The share of a core that looking may take; what takes long to see is looked at less often."""


class Pause:
    """Waits between two looks."""

    def __init__(self, every: float) -> None:
        """`every`: seconds between two looks, at least."""
        self._every = every
        self._began = time.process_time()

    def wait(self) -> None:
        """Wait after a look."""
        took = time.process_time() - self._began
        sleep(max(self._every, took / SHARE))
        self._began = time.process_time()
