"""What a memory costs as it grows: in rows, and in classes.

An update of online replay is the whole of it: the mlp's two passes, the offer and the draw; those
two alone are `own`. Runs
of all sizes take turns of a few updates, so that a machine that is busy for a while is so for all.
Before they start each memory has been offered twice what it holds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import clrun
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.memory.drawing import drawn_rows
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import ready
from clrun.strategies import rehearsal
from clrun.streams.experience import Benchmark
from sides.measure import Meter

ROUNDS, MINIBATCH = 6, 64
Words = list[str]


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of each kind of run at each size, and what the largest costs by the smallest."""
    meter, found = Meter(), dict[str, Any]()
    with meter.phase("train"):
        for name, words in case["runs"].items():
            values = _updates(case, words) if case["online"] else _ends(case, words)
            for part, milliseconds in values.items():
                found |= {f"{name}_{part}_{size}": ms for size, ms in milliseconds.items()}
                least, most = (milliseconds[case["sizes"][end]] for end in (0, -1))
                found[f"{name}_{part}_growth"] = most / least
    return meter.report() | found


class Own:
    """Seconds that an update spends on offering and drawing."""

    def __init__(self, memory: Any) -> None:
        self.seconds = 0.0
        memory.offer = self.timed(memory.offer)

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            found = call(*args, **kwargs)
            self.seconds += time.process_time() - start
            return found

        return timing


def _updates(case: dict[str, Any], words: Words) -> dict[str, dict[int, float]]:
    """The median update at each size and its own part, in the round in which that was least."""
    runs = {size: _run(case, words, size) for size in case["sizes"]}
    least = {part: dict.fromkeys(runs, float("inf")) for part in ("update", "own")}
    for _ in range(ROUNDS):
        for size, (steps, own) in runs.items():
            found: dict[str, list[float]] = {part: [] for part in least}
            rehearsal.drawn_rows = own.timed(drawn_rows)
            for _ in range(case["updates"]):
                start, own.seconds = time.process_time(), 0.0
                next(steps)
                found["update"].append(1000 * (time.process_time() - start))
                found["own"].append(1000 * own.seconds)
            for part, values in found.items():
                least[part][size] = min(least[part][size], statistics.median(values))
    return least


def _run(case: dict[str, Any], words: Words, size: int) -> tuple[Iterator[Any], Own]:
    rows, classes = (size, 10) if case["grows"] == "rows" else (case["rows"], size)
    rng = np.random.default_rng(0)
    online = ["strategy.memory_update=minibatch", f"strategy.train_mb_size={MINIBATCH}"]
    updates = ROUNDS * case["updates"] * MINIBATCH
    strategy, experience = _made(case, [*online, *words], rows, classes, updates, rng)
    x, y = _images(case, 2 * rows, classes, rng)
    for part in torch.arange(len(y)).split(10 * MINIBATCH):
        keys = torch.from_numpy(rng.random(len(part)))
        patterns = Patterns(torch.from_numpy(x)[part], torch.from_numpy(y)[part])
        strategy.memory.offer(patterns, 0, strategy.learner.extract, keys)
    return strategy.learn(experience), Own(strategy.memory)


def _ends(case: dict[str, Any], words: Words) -> dict[str, dict[int, float]]:
    """What is chosen when an experience of all rows ends, for each number of classes."""
    found = {}
    for classes in case["sizes"]:
        seconds = []
        for _ in range(ROUNDS // 2):
            rng = np.random.default_rng(0)
            made = _made(case, words, case["kept"], classes, case["rows"], rng)
            strategy, experience = made
            start = time.process_time()
            strategy.memory.offer(experience.train, 0, strategy.learner.extract)
            seconds.append(1000 * (time.process_time() - start))
        found[classes] = min(seconds)
    return {"end": found}


def _made(
    case: dict[str, Any],
    words: Words,
    mem_size: int,
    classes: int,
    rows: int,
    rng: np.random.Generator,
) -> tuple[Any, Any]:
    """A strategy, and an experience of so many rows, the second of a stream.

    The network has as many outputs at each size.
    """
    outputs = max(case["sizes"]) if case["grows"] == "classes" else classes
    test = _images(case, outputs, outputs, rng)
    benchmark = Benchmark.of_arrays(
        [test, _images(case, rows, classes, rng)],
        [test, test],
        class_names=list(map(str, range(outputs))),
        transform=Transform((0.3,) * case["channels"], (0.3,) * case["channels"], "none"),
    )
    fixed = ["strategy=replay", "benchmark=digits", "model=mlp", "device=cpu", "device.threads=1"]
    chosen = [*fixed, f"strategy.mem_size={mem_size}", *words]
    prepared = ready(clrun.compose(chosen), benchmark=benchmark)
    return made_strategy(prepared), list(prepared.data)[1]


def _images(
    case: dict[str, Any], rows: int, classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    shape = rows, case["channels"], case["side_px"], case["side_px"]
    return rng.integers(0, 256, shape, dtype=np.uint8), np.arange(rows) % classes
