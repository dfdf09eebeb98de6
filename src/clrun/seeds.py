"""Randomness as a pure function of (seed, purpose, experience, epoch, iteration).

No generator's history matters: any piece of a run can be repeated, skipped or resumed alone and
draws the same numbers. Nothing here leaves a trace in PyTorch's global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, purpose: str, experience: int = 0, epoch: int = 0, iteration: int = 0) -> int:
    """A 63-bit seed for one purpose at one place of the run; independent of every other."""
    name = f"{seed}/{purpose}/{experience}/{epoch}/{iteration}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator(
    seed: int, purpose: str, experience: int = 0, epoch: int = 0, iteration: int = 0
) -> torch.Generator:
    """A fresh CPU generator for one purpose at one place of the run."""
    return torch.Generator().manual_seed(derive(seed, purpose, experience, epoch, iteration))


@contextmanager
def isolated(seed: int, purpose: str) -> Iterator[None]:
    """Let library code that draws from the global generator (initial weights) draw from ours.

    The global generator is put back as it was. CPU only: build models on the CPU, then move them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, purpose))
        yield
