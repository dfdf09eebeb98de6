"""Seconds of an update beside loops written by hand, how busy the device is, and what it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

import clrun
from clrun.images.transforms import Transform
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import Prepared, ready
from clrun.strategies.ar1 import AR1
from clrun.streams.experience import Benchmark
from proving_cuda.loops import Update, on_images, on_latents
from proving_cuda.row import Row, Rows, Where, judged

BAR = 1.10
"""Seconds of an update over those of the loop."""
TURNS, ON_A_CPU = 5, 1
"""clrun and the loop take turns; the median ratio counts. On a CPU it is asked for nothing."""


@dataclass(frozen=True)
class Case:
    """A model on images of one size."""

    name: str
    words: tuple[str, ...]
    side: int
    channels: int
    rows: int
    minibatch: int
    updates: int
    """in each turn"""


CASES = (
    Case("mlp", ("model=mlp", "model.hidden=[400,400]"), 28, 1, 12_000, 128, 60),
    Case("cnn", ("model=cnn",), 32, 3, 6_000, 128, 40),
    Case("slim_resnet18", ("model=slim_resnet18",), 32, 3, 6_000, 128, 20),
    Case("ar1 mobilenet_v1", ("strategy=ar1", "strategy.rm_sz=300"), 128, 3, 600, 64, 20),
)
SMALL_CASES = (
    Case("mlp", ("model=mlp", "model.hidden=[64]"), 28, 1, 600, 32, 15),
    Case("ar1 mobilenet_v1", ("strategy=ar1", "strategy.rm_sz=16"), 32, 3, 40, 16, 2),
)


def speed(where: Where) -> Rows:
    """clrun over the loop, for each case."""
    for case in CASES if where.is_cuda else SMALL_CASES:
        try:
            yield from _beside_the_loop(where, case)
        except Exception as error:  # the next one may still tell something
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield Row("speed", case.name, said, "no")


def busy(where: Where) -> Rows:
    """The share of the time in which a kernel runs, and the most memory held."""
    if not where.is_cuda:
        yield Row("busy", "share of the time with a kernel", "there is no GPU")
        return
    for case in CASES:
        step, _ = _learning(where, case)
        _timed(step, case.updates, where)
        torch.cuda.reset_peak_memory_stats()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            seconds = _timed(step, case.updates, where)
        kernels = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
        held = torch.cuda.max_memory_allocated() / 2**20
        found = f"{min(kernels / seconds, 1):.0%} of {seconds:.3f} s; {held:.0f} MiB at most"
        yield Row("busy", case.name, found)


def _beside_the_loop(where: Where, case: Case) -> Rows:
    step, loop = _learning(where, case)
    sides, turns = (step, loop), TURNS if where.is_cuda else ON_A_CPU
    for side in sides:
        _timed(side, case.updates, where)  # kernels are loaded and chosen
    taken = [[_timed(side, case.updates, where) for side in sides] for _ in range(turns)]
    ratio = median(ours / theirs for ours, theirs in taken)
    ours, theirs = (median(turn[side] for turn in taken) / case.updates for side in (0, 1))
    found = (
        f"{1e3 * ours:.3f} ms an update, {case.minibatch / ours:,.0f} images a second; "
        f"the loop {1e3 * theirs:.3f} ms: {ratio:.2f}"
    )
    yield Row("speed", case.name, found, judged(ratio <= BAR) if where.is_cuda else "-")


def _timed(step: Update, updates: int, where: Where) -> float:
    _wait(where)
    start = time.perf_counter()
    for _ in range(updates):
        step()
    _wait(where)
    return time.perf_counter() - start


def _wait(where: Where) -> None:
    if where.is_cuda:
        torch.cuda.synchronize()


def _learning(where: Where, case: Case) -> tuple[Update, Update]:
    """An update of clrun's in the second experience, and one of the loop."""
    lr = 0.01
    is_ar1 = "strategy=ar1" in case.words
    words = ["seed=1", f"device={where.device}", *case.words]
    words += [] if is_ar1 else ["strategy=naive"]
    words += [f"strategy.train_mb_size={case.minibatch}", f"strategy.lr={lr}"]
    words += ["strategy.momentum=0.9", "strategy.train_epochs=1000", "strategy.l2=0"]
    prepared = ready(clrun.compose(words), benchmark=generated(case))
    with prepared.device.applied(prepared.update_macs):
        strategy: Any = made_strategy(prepared)
    first, second = prepared.data.experiences
    if is_ar1:
        _store(strategy, first, case)
    learning: Iterator[Any] = strategy.learn(second)
    next(learning)
    loop = _ar1_loop(strategy, second, case, lr) if is_ar1 else _image_loop(prepared, case, lr)
    return (lambda: _next(learning)), loop


def _next(learning: Iterator[Any]) -> None:
    next(learning)


def _store(strategy: AR1, experience: Any, case: Case) -> None:
    """Give the memory rows of the first experience without training on it for a thousand epochs."""
    strategy.split.enter(experience.index)
    strategy.latents.begin(experience.train.x, frozen=True)
    strategy._store(experience)
    assert len(strategy.memory.rows), case.name


def _image_loop(prepared: Prepared, case: Case, lr: float) -> Update:
    rows, transform = prepared.data.experiences[1].train, prepared.data.transform
    device = prepared.device.torch
    return on_images(prepared.model, rows, transform, case.minibatch, lr, device)


def _ar1_loop(strategy: AR1, experience: Any, case: Case, lr: float) -> Update:
    """Latents of new rows and of stored ones, all on the device."""
    device = strategy.parts.device
    with torch.no_grad():
        new = strategy.latents.unaugmented(experience.train.x, torch.arange(case.rows)).to(
            device.torch
        )
        held = strategy.memory.rows
        old = strategy.memory.latents(torch.arange(len(held))).to(device.torch)
    y = torch.cat([experience.train.y, held.y]).to(device.torch)
    latents = device.put(torch.cat([new, old]).float())
    return on_latents(strategy.split.cut.upper, latents, y, case.minibatch, lr)


def generated(case: Case) -> Benchmark:
    """Two experiences of ten classes of noise around a mean of their own."""
    rng = torch.Generator().manual_seed(0)
    shape = (case.channels, case.side, case.side)
    means = torch.randint(60, 196, (10, *shape), generator=rng)

    def rows(count: int) -> tuple[Any, Any]:
        y = torch.arange(count) % 10
        noise = torch.randint(-60, 60, (count, *shape), generator=rng)
        return (means[y] + noise).to(torch.uint8), y

    stream = [(rows(case.rows), rows(20)) for _ in range(2)]
    half = (0.5,) * case.channels
    return Benchmark.of_arrays(
        [train for train, _ in stream],
        [test for _, test in stream],
        class_names=[str(c) for c in range(10)],
        transform=Transform(half, half, "none"),
    )


Part = Callable[[Where], Rows]
