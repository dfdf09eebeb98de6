"""Time AR1 on MobileNetV1 at 128 px with its latent cache and without.

    python benchmarks/ar1.py     # what computing the frozen part once saves (minutes)

What is compared takes turns, and the medians of the processes' CPU seconds are compared.
`scripts/bench` compares AR1 with a hand-written loop.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

import clrun
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.memory.latent_memory import LatentMemory
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.runner.prepare import build
from clrun.seeds import isolated
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience

CLASSES = 10
TRANSFORM = Transform((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "none")


def stream(experiences: int, images: int, side: int) -> list[Experience]:
    """Random images; what they show does not matter to the time."""
    rng = torch.Generator().manual_seed(0)
    made = []
    for index in range(experiences):
        x = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=rng)
        y = torch.randint(0, CLASSES, (images,), generator=rng)
        rows = Patterns(x, y)
        made.append(
            Experience(index=index, classes=(), task_label=0, train=rows, test=Patterns(x, y))
        )
    return made


def model() -> MobilenetV1:
    with isolated(0, "weights"):
        return MobilenetV1(CLASSES, latent_layer_num=19)


def ar1(words: list[str], network: nn.Module) -> Any:
    """The strategy as the command line would build it."""
    config = clrun.compose(["strategy=ar1", "device=cpu", *words])
    device = build(config.nodes["device"])
    parts = Parts(
        model=device.place(network),
        transform=TRANSFORM,
        device=device,
        seed=0,
        num_classes=CLASSES,
        storage_policy=None,  # type: ignore[arg-type]
        selection=None,  # type: ignore[arg-type]
        plugins=(),
    )
    return build(config.nodes["strategy"], parts)


def learn(strategy: Any, experiences: list[Experience]) -> nn.Module:
    for experience in experiences:
        for _ in strategy.learn(experience):
            pass
    return strategy.parts.model


def cache(options: argparse.Namespace) -> None:
    """Training with the frozen part computed once an experience, against every time."""
    warm_up, *experiences = stream(3, options.images, 128)
    for words in (
        ["strategy.latent_layer_num=27", "strategy.freeze_below_layer=lat_features.26.bn.beta"],
        ["strategy.rm_sz=0"],
    ):
        print(" ".join(words))
        ready = {}
        for use in ("auto", "off"):
            ready[use] = ar1(
                [*words, "strategy.freeze_from=0", f"strategy.latent_cache={use}"], model()
            )
            learn(ready[use], [warm_up])
        once = ready["off"].latents.cache.compute
        told = turns(
            {
                "auto": lambda: learn(copy.deepcopy(ready["auto"]), experiences),  # noqa: B023
                "off": lambda: learn(copy.deepcopy(ready["off"]), experiences),  # noqa: B023
                "frozen": lambda: [once(e.train.x) for e in experiences],  # noqa: B023
            },
            options.repeats,
        ).seconds
        passes = 3 + _chosen(ready["off"].memory, experiences) / sum(
            len(e.train.y) for e in experiences
        )
        saved, due = told["off"] - told["auto"], passes * told["frozen"]
        print(
            f"  saved {saved:.1f} CPU s; {passes:.2f} passes of the frozen part, three epochs and"
        )
        print(f"  what is stored, are {due:.1f} CPU s: {saved / due:.3f} of what arithmetic says")
    print("evaluation at layer 19, the second time")
    x = experiences[0].train.x
    runs = {}
    for cached in ("auto", "off"):
        strategy = ar1(["strategy.freeze_from=0", f"strategy.latent_cache={cached}"], model())
        learn(strategy, [warm_up])
        strategy.predict(x)
        runs[cached] = lambda strategy=strategy: strategy.predict(x)
    turns(runs, options.repeats)


class Told(NamedTuple):
    results: list[Any]
    seconds: dict[str, float]
    """medians of CPU seconds"""


def _chosen(memory: LatentMemory, experiences: list[Experience]) -> int:
    """Rows it will choose to store, whose latents are looked up or computed once more."""
    held, chosen = len(memory), 0
    for experience in experiences:
        wanted = max(memory.rm_sz - held, memory.rm_sz // (experience.index + 1))
        new = min(len(experience.train.y), wanted)
        chosen, held = chosen + new, min(memory.rm_sz, held + new)
    return chosen


def turns(runs: dict[str, Callable[[], Any]], repeats: int) -> Told:
    """Run each in turn, again and again; print the medians, and the ratio of the first two."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = run()
            seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    medians = {}
    for name, told in seconds.items():
        cpu, wall = (statistics.median(column) for column in zip(*told, strict=True))
        medians[name] = cpu
        print(f"  {name:<6} {cpu:8.2f} CPU s {wall:8.2f} s   (medians of {repeats})")
    first, second, *_ = seconds
    ratios = sorted(a[0] / b[0] for a, b in zip(seconds[first], seconds[second], strict=True))
    print(
        f"  {first} / {second}: {statistics.median(ratios):.3f} of the CPU seconds "
        f"(from {ratios[0]:.3f} to {ratios[-1]:.3f})"
    )
    return Told(list(results.values()), medians)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=600, help="in an experience")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cache(options)


if __name__ == "__main__":
    main()
