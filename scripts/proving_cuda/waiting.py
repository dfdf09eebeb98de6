"""That no update waits for the device, and what `device=auto` makes of several models."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

import clrun
from clrun.fast.fastest import CLEARLY
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import prepare
from proving_cuda.row import Row, Rows, Where, judged
from proving_cuda.runs import EXPERIMENTS, SMALL, names

WARM, UPDATES = 5, 20
MODELS = (
    ("model=mlp",),
    ("model=cnn",),
    ("model=slim_resnet18", "benchmark.image_size=32"),
    ("strategy=ar1", "benchmark.image_size=128", "benchmark.channels=3"),
)


def waits(where: Where) -> Rows:
    """An update in PyTorch's mode in which waiting is an error."""
    for name in names(where):
        if not where.is_cuda:
            yield Row("waits", name, "there is no GPU to wait for")
            continue
        try:
            _update_that_must_not_wait(name)
        except Exception as error:  # the next one may still tell something
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield Row("waits", name, said, "no")
        else:
            yield Row("waits", name, "three updates wait for nothing", "ok")


def _update_that_must_not_wait(name: str) -> None:
    prepared = prepare(clrun.compose([*EXPERIMENTS[name], *SMALL, "device=cuda"]))
    first, second, *_ = prepared.data.experiences
    with prepared.device.applied(prepared.update_macs):
        strategy = made_strategy(prepared)
        list(strategy.learn(first))
        learning = strategy.learn(second)
        next(learning)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(3):
                next(learning)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def auto(where: Where) -> Rows:
    """What is chosen for a model, and whether that was the faster one."""
    for words in MODELS if where.is_cuda else MODELS[:1]:
        try:
            yield _chosen(where, words)
        except Exception as error:  # the next one may still tell something
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield Row("auto", words[0], said, "no")


def _chosen(where: Where, words: Sequence[str]) -> Row:
    prepared = prepare(clrun.compose([*words, "device=auto"]))
    chosen = prepared.device.torch.type
    took = {kind: _seconds(words, kind) for kind in dict.fromkeys(("cpu", where.device))}
    quickest = min(took.values())
    notes = "; ".join(prepared.device.notes()) or "nothing was measured"
    times = ", ".join(f"{1e3 * seconds:.2f} ms on {kind}" for kind, seconds in took.items())
    return Row(
        "auto",
        words[0],
        f"{chosen}. An update in a run: {times}. It said: {notes}",
        judged(took[chosen] * CLEARLY <= quickest),
    )


def _seconds(words: Sequence[str], kind: str) -> float:
    """Seconds of an update in a run on this kind of device, without its first ones."""
    prepared = prepare(clrun.compose([*words, "strategy.train_epochs=1000", f"device={kind}"]))
    with prepared.device.applied(prepared.update_macs):
        learning = made_strategy(prepared).learn(prepared.data.experiences[0])
        for _ in range(WARM):
            step = next(learning)
        start = time.perf_counter()
        for _ in range(UPDATES):
            step = next(learning)
        step.loss.item()
        return (time.perf_counter() - start) / UPDATES
