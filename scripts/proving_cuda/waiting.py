"""That no update waits for the device, and what `device=auto` makes of several models."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import clrun
from clrun.fast.fastest import CLEARLY
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import prepare
from proving_cuda.machine import ROOT
from proving_cuda.row import Row, Rows, Where, judged

WARM, UPDATES = 5, 20
MODELS = (
    ("model=mlp",),
    ("model=cnn",),
    ("model=slim_resnet18", "benchmark.image_size=32"),
    ("strategy=ar1", "benchmark.image_size=128", "benchmark.channels=3"),
)


def waits(where: Where) -> Rows:
    """Updates of every strategy in PyTorch's mode in which waiting is noticed."""
    if not where.is_cuda:
        yield Row("waits", "every strategy", "there is no GPU to wait for")
        return
    sys.path.append(str(ROOT / "tests"))
    cases = importlib.import_module("waits")
    for name, words in cases.CASES.items():
        try:
            steps = cases.under_way(cases.learning(*words, "device=cuda"))
            with cases.waits_of_cuda() as found:
                made = list(steps)
        except Exception as error:  # the next one may still tell something
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield Row("waits", name, said, "no")
        else:
            yield _waited(name, len(made), found, cases.forbidden(found))


def _waited(name: str, updates: int, found: Sequence[Any], forbidden: Sequence[Any]) -> Row:
    places = sorted({wait.where for wait in forbidden or found})
    said = f"waited for in {', '.join(places)}" if places else "nothing is waited for"
    if places and not forbidden:
        said += ", which has to be"
    return Row("waits", name, f"{updates} updates: {said}", judged(not forbidden))


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
