"""Strategies that fail in the middle of their first experience, each in its own way.

PYTHONPATH=scripts clrun -m strategy=naive strategy.target=failing_jobs:Raises
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

import torch

from clrun.strategies.naive import Naive
from clrun.strategies.step import START, Position, Step
from clrun.streams.experience import Experience

UPDATES = 3
"""What is learnt before it fails."""


class Raises(Naive):
    """A mistake in its code."""

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        for number, step in enumerate(super().learn(experience, start)):
            yield step
            if number == UPDATES:
                self.fail()

    def fail(self) -> None:
        raise RuntimeError("made to fail")


class Exits(Raises):
    """It leaves as if all were done, but for its exit code; nothing is cleaned up."""

    def fail(self) -> NoReturn:
        sys.stdout.flush()
        os._exit(3)


class Segfaults(Raises):
    """The system ends it."""

    def fail(self) -> None:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)


class NeedsTooMuch(Raises):
    """It asks for more memory than any machine has."""

    def fail(self) -> None:
        torch.empty(2**60, dtype=torch.uint8)


class Hangs(Raises):
    """It waits for what never comes."""

    def fail(self) -> None:
        threading.Event().wait()
