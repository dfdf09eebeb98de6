"""Updates of a small network: clrun's whole runner and a bare loop take turns in one process.

An update takes a third of a millisecond, and a shared machine's speed wanders by more between two
processes than what clrun adds. So both do some updates, then the other does as many.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from clrun.runner.run import run
from oracles.by_hand import SGD, scale_and_shift
from oracles.models import mlp
from sides.arrays import experiences, weights
from sides.clrun import prepared

TURN = 40
"""Updates of one side before the other has its turn."""
WARM = 3
"""Turns that are left out."""


class Turns:
    """Called between two updates of a run: after some of them the loop has its turn."""

    def __init__(self, loop: Iterator[None]) -> None:
        self.ours: list[float] = []
        self.loops: list[float] = []
        self._loop, self._calls, self._start = loop, 0, 0.0

    def __call__(self, _state: object) -> None:
        self._calls += 1
        if self._calls % TURN != 1:
            return
        if self._start:
            self.ours.append(time.process_time() - self._start)
            self.loops.append(self._turn_of_loop())
        self._start = time.process_time()

    def _turn_of_loop(self) -> float:
        start = time.process_time()
        for _ in range(TURN):
            next(self._loop)
        return time.process_time() - start

    def report(self) -> dict[str, float]:
        """Medians of microseconds an update and of the ratios of turns, and best over best."""
        ours, loops = self.ours[WARM:], self.loops[WARM:]
        ratios = [one / other for one, other in zip(ours, loops, strict=True)]
        return {
            "update_us": statistics.median(ours) / TURN * 1e6,
            "loop_us": statistics.median(loops) / TURN * 1e6,
            "update_over_loop": statistics.median(ratios),
            "best_over_best": min(ours) / min(loops),
        }


def measure(case: dict[str, Any]) -> dict[str, float]:
    """The same updates on the same images, in another order."""
    with tempfile.TemporaryDirectory() as folder:
        made, turns = prepared(case, folder), Turns(bare_loop(case))
        _ = made.data, made.hardware
        run(made, Path(folder) / "run", at_pause=turns)
    return turns.report()


def bare_loop(case: dict[str, Any]) -> Iterator[None]:
    """Descent on the first experience as it would be written down for speed, for ever."""
    data, rows = case["data"], experiences(case)[0]
    net = mlp(data["channels"], data["side"], data["classes"], case["hidden"])
    net.load_state_dict({name: torch.from_numpy(array) for name, array in weights(case).items()})
    x, y = torch.from_numpy(rows.train_x), torch.from_numpy(rows.train_y)
    scale, shift = scale_and_shift(case, data["channels"])
    sgd = SGD(list(net.parameters()), case["lr"], case["momentum"], case["l2"])
    while True:
        for minibatch in torch.randperm(len(y)).split(case["mb"]):
            images = x.index_select(0, minibatch).float().mul_(scale).add_(shift)
            loss = cross_entropy(net(images), y[minibatch])
            sgd.follow(torch.autograd.grad(loss, sgd.parameters))
            yield
