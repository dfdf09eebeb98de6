"""Randomness as a pure function of (seed, purpose, experience, epoch, iteration).

No generator's history matters: any piece of a run can be repeated, skipped or resumed alone and
draws the same numbers. That holds for modules of users too, which draw from global generators: a
learner starts those afresh in every update, and a run puts them back when it ends.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch

CPU = torch.device("cpu")


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
def isolated(seed: int, purpose: str, *, device: torch.device = CPU) -> Iterator[None]:
    """Let code that is not ours draw from the global generators as if they were ours.

    Initial weights are drawn so, and what a user's module draws. The generators of PyTorch, on the
    CPU and on `device`, of NumPy and of Python are put back as they were.
    """
    with kept_generators(device):
        seed_generators(derive(seed, purpose), device, foreign=True)
        yield


@contextmanager
def kept_generators(device: torch.device = CPU) -> Iterator[None]:
    """Put the global generators back afterwards, whatever was drawn from them."""
    python, arrays = random.getstate(), numpy.random.get_state()  # noqa: NPY002 - theirs
    on_mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)  # noqa: NPY002
        if on_mps is not None:
            torch.mps.set_rng_state(on_mps)


def seed_generators(seed: int, device: torch.device = CPU, *, foreign: bool) -> None:
    """Start PyTorch's global generators afresh; with `foreign` those of NumPy and Python too,
    which takes ten times as long (20 us)."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    if foreign:
        random.seed(seed)
        numpy.random.seed(seed % 2**32)  # noqa: NPY002
