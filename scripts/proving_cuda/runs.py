"""Small runs of clrun, and what is compared of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import clrun
from clrun.device import rows
from proving_cuda.row import Where

MLP = ("model=mlp", "model.hidden=[64]")
CNN = ("model=cnn", "model.channels=[16,16]", "strategy.lr=0.05")
AR1 = (
    *("strategy=ar1", "model=cnn", "model.channels=[16,16]", "model.norm=batch"),
    *("strategy.latent_layer=features.relu0", "strategy.train_mb_size=64", "strategy.lr=0.05"),
)
SMALL = ("benchmark=digits", "strategy.train_epochs=2", "seed=1", "log_every=1", "report=false")
EXPERIMENTS = {
    "naive": ("strategy=naive", *MLP),
    "naive cnn": ("strategy=naive", *CNN),
    "replay resident": ("strategy=replay", *MLP),
    "replay streamed": ("strategy=replay", *MLP),
    "herding": ("strategy=replay", "storage_policy=class_balanced", "selection=herding", *MLP),
    "ar1 brn": AR1,
    "ar1 uint8 latents": (*AR1, "strategy.latent_dtype=uint8"),
    "ar1 si": (*AR1, "strategy.ewc_lambda=0.1"),
}


ON_A_CPU = ("naive", "ar1 si")
"""Enough to see that the script works."""
FEW_ROWS = ("benchmark.limit_per_class=60",)
"""So many rows too."""


def names(where: Where) -> Sequence[str]:
    """The experiments to run."""
    return list(EXPERIMENTS) if where.is_cuda else ON_A_CPU


@dataclass(frozen=True)
class Run:
    """What a run says of itself."""

    losses: list[float]
    """of every update"""
    per_epoch: int
    """updates in the first epoch"""
    accuracy: float
    peak_device_bytes: int
    weights: str
    """a digest of the trained model's file"""

    @property
    def first_epoch(self) -> list[float]:
        return self.losses[: self.per_epoch]


FIRST: dict[tuple[str, str], Run] = {}


def first_run(name: str, where: Where) -> Run:
    """A run of an experiment on the device as it is, the same one whichever part asks first."""
    key = name, where.device
    if key not in FIRST:
        FIRST[key] = run(name, where)
    return FIRST[key]


def run(name: str, where: Where, *words: str) -> Run:
    """The run of an experiment with further words, in a folder that is made for it."""
    at = where.folder / f"{len(list(where.folder.iterdir()))}-{name.replace(' ', '-')}"
    words = (f"device={where.device}", *words)
    words = words if where.is_cuda else (*FEW_ROWS, *words)
    with _streamed(name.endswith("streamed")):
        results = clrun.run(clrun.compose([*EXPERIMENTS[name], *SMALL, *words]), at)
    lines = [json.loads(line) for line in (at / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    first = [s for s in steps if s["experience"] == 0 and s["epoch"] == 0]
    accuracy = results.metrics["acc_final"]
    assert accuracy is not None, "a run of digits has a final accuracy"
    return Run(
        losses=[step["loss"] for step in steps],
        per_epoch=len(first),
        accuracy=accuracy,
        peak_device_bytes=results.cost["peak_device_bytes"],
        weights=hashlib.sha256(_tensors(at / "checkpoints" / "model.safetensors")).hexdigest(),
    )


def _tensors(file: Path) -> bytes:
    """The bytes of a safetensors file behind its header, in which a run's identity is."""
    content = file.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


@contextmanager
def _streamed(is_streamed: bool) -> Iterator[None]:
    """Inside, a device has no room for a stream's rows, if so asked."""
    before = rows.LEFT_FREE
    rows.LEFT_FREE = 2.0 if is_streamed else before
    try:
        yield
    finally:
        rows.LEFT_FREE = before
