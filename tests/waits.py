"""Updates that no device may be waited for in, and where one has to be all the same.

`tests/device/test_waiting.py` counts on a stand-in for a CUDA device, `tests/device/test_cuda.py`
and `scripts/prove_cuda` let PyTorch count on a real one.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch

import clrun
from clrun.config.option_file import read_option
from clrun.config.sources import options
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import prepare
from clrun.strategies.step import Step
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Experience, merged

SOURCE = Path(clrun.__file__).parent

MLP = ("model=mlp", "model.hidden=[16]")
CNN = ("model=cnn", "model.channels=[4,4]")
AR1 = (
    *("strategy=ar1", *CNN, "model.norm=batch", "strategy.lr=0.05"),
    *("strategy.latent_layer=features.relu0", "strategy.rm_sz=20"),
)
SOLVED = (*MLP, "strategy.eval_mb_size=3")
OPTIONS: dict[str, tuple[str, ...]] = {
    "ar1": AR1[1:],
    "icarl": (*MLP, "strategy.mem_size=20"),
    **dict.fromkeys(("statistics", "ncm", "slda", "fecam"), SOLVED),
    "ranpac": (*SOLVED, "strategy.projection_dim=16"),
}
"""What an option of conf/strategy needs to be quick here; the others take the small MLP."""
ONLINE = "strategy.memory_update=minibatch"
SEPARATE = "strategy.active=experience"
ADAM = ("strategy.optimizer=adam", "strategy.momentum=0")
VARIANTS: dict[str, tuple[str, ...]] = {
    "replay, online": ("strategy=replay", *MLP, ONLINE, "storage_policy=reservoir"),
    "replay, classes": ("strategy=replay", *MLP, "strategy.mix=add", "strategy.balance=class"),
    "ar1, uint8 si": (*AR1, "strategy.latent_dtype=uint8", "strategy.ewc_lambda=0.1"),
    "ar1, augmented": (*AR1, "benchmark.augment=crop_flip", "device.tricks=off", *ADAM),
    "si, seen": (
        *("strategy=naive", *MLP, "strategy.plugins=[{name: si, ewc_lambda: 1}]"),
        *("strategy.active=seen", "benchmark.augment=crop_flip", "strategy.schedule=cosine"),
    ),
    "ewc, minibatch": (
        *("strategy=naive", *CNN, "strategy.plugins=[{name: ewc, ewc_lambda: 1}]"),
        *("strategy.active=minibatch", "strategy.optimizer=adamw", "strategy.momentum=0"),
    ),
    "mas, views": (
        *("strategy=naive", *CNN, "strategy.plugins=[{name: mas, mas_lambda: 0.1}]"),
        *("benchmark.augment=contrastive", "strategy.criterion=binary_cross_entropy"),
    ),
    "separate": ("strategy=naive", *MLP, SEPARATE),
    "separate, adam": ("strategy=replay", *MLP, SEPARATE, *ADAM),
    "lwf, separate": ("strategy=lwf", *MLP, SEPARATE),
    "bad ones left out": ("strategy=agem", *MLP, ONLINE, "strategy.on_nan=skip"),
}
"""Beside the options as they are."""
SMALL = ("benchmark=digits", "benchmark.limit_per_class=7", "seed=1", "report=false")
DESCENDING = ("strategy.train_mb_size=5", "strategy.train_epochs=2")
"""Keys of all that descend."""

ALLOWED = {
    "strategies.left_out.look": "on_nan=skip asks for the loss before it follows it",
    "strategies.left_out.gradients_are_finite": "and for the gradients",
    "strategies.der._offer": "its memory, on the host, takes rows with the logits of this update",
    "memory.replay_memory.<dictcomp>": "those logits",
    "strategies.heads.fecam.prepared": "features are looked at, which only fecam's power needs",
    "strategies.heads.fecam.add": "each class has a matrix of its own, as large as all others",
    "strategies.drawn_memory.after_update": "an online memory, on the host, takes the rows",
}
"""Where an update waits, and why it has to."""

CASES = {
    **{o.name: (f"strategy={o.name}", *OPTIONS.get(o.name, MLP)) for o in options("strategy")},
    **VARIANTS,
}
"""Words by name; a new option of conf/strategy joins by being there."""


class Wait(NamedTuple):
    """Something that a GPU is waited for."""

    what: str
    where: str
    """the function of clrun that does it: `strategies.left_out.look`"""


class Learning(NamedTuple):
    """A strategy, and the experiences that are left to it."""

    strategy: Strategy
    left: list[Experience]


def learning(*words: str) -> Learning:
    """What these words compose, after the first experience where there are several."""
    more = DESCENDING if descends(words) else ()
    prepared = prepare(clrun.compose([*SMALL, *more, *words]))
    strategy, stream = made_strategy(prepared), list(prepared.data)
    if strategy.whole_stream:
        return Learning(strategy, [merged(prepared.data)])
    for _ in strategy.learn(stream[0]):
        pass
    return Learning(strategy, stream[1:])


def under_way(there: Learning) -> Iterator[Step]:
    """The next experience's third update and its fourth, with which another epoch begins for most;
    the first two may load kernels. What is online has offered its rows by then."""
    steps = there.strategy.learn(there.left[0])
    next(steps), next(steps)
    return islice(steps, 2)


def descends(words: Sequence[str]) -> bool:
    """Whether the strategy, which is the first word, has the keys of descent."""
    return "lr" in read_option("strategy", words[0].partition("=")[2]).keys


def where() -> str:
    """The innermost function of clrun that is running."""
    frame = sys._getframe()
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(SOURCE):
            parts = file.relative_to(SOURCE).with_suffix("").parts
            return ".".join((*parts, frame.f_code.co_name))
        frame = frame.f_back
    return "outside"


def forbidden(waits: list[Wait]) -> list[Wait]:
    """Those that have no reason."""
    return [wait for wait in waits if wait.where not in ALLOWED]


@contextmanager
def waits_of_cuda() -> Iterator[list[Wait]]:
    """What a CUDA device is waited for inside, as PyTorch notices it."""
    found: list[Wait] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest, **more: found.append(
            Wait(str(message).partition("(")[0].strip(), where())
        )
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
