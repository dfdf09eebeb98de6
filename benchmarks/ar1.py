"""Time AR1 on MobileNetV1 at 128 px: against a hand-written loop, and against no latent cache.

    python benchmarks/ar1.py loop      # 3 experiences of 600 images, reference defaults (minutes)
    python benchmarks/ar1.py cache     # what computing the frozen part once saves (minutes)

What is compared takes turns, and the medians of the processes' CPU seconds are compared. The loop
makes the same updates on the same rows in the same order; that its final weights are AR1's, bit for
bit, is checked in the same run.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import clrun
from clrun.memory.latent_memory import LatentMemory
from clrun.memory.minibatches import plan_epoch
from clrun.models.batch_renorm import change_brn_pars, replace_bn_with_brn
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.runner.prepare import build
from clrun.seeds import generator, isolated
from clrun.strategies.cwr_star import CWRStar
from clrun.strategies.rehearsal import composition
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience, Patterns
from clrun.streams.transforms import Transform

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
    parts = Parts(
        model=network,
        transform=TRANSFORM,
        device=build(config.nodes["device"]),
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


def by_hand(network: nn.Module, experiences: list[Experience], config: Any) -> nn.Module:
    """AR1's maths as one would write it down, with nothing around it."""
    c = config
    network = replace_bn_with_brn(
        network,
        momentum=c.init_update_rate,
        r_d_max_inc_step=c.inc_step,
        max_r_max=c.max_r_max,
        max_d_max=c.max_d_max,
    )
    lower, end, head = network.lat_features, network.end_features, network.output
    cwr = CWRStar(head)
    held_z, held_y = torch.empty(0, 512, 8, 8), torch.empty(0, dtype=torch.int64)
    for i, experience in enumerate(experiences):
        x, y = experience.train
        network.train()
        lower.eval()
        frozen = i > 0 or c.freeze_from == 0
        lower.requires_grad_(not frozen)
        if i > 0:
            change_brn_pars(
                network, momentum=c.inc_update_rate, r_max=c.max_r_max, d_max=c.max_d_max
            )
        cwr.begin(torch.bincount(torch.cat([y, held_y]), minlength=CLASSES))
        lr = c.lr if i == 0 or c.inc_lr is None else c.inc_lr
        optimizer = torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad],
            lr,
            momentum=c.momentum,
            weight_decay=c.l2,
        )
        latents = _latents(lower, x) if frozen else None
        sizes = composition(len(y), len(held_y), c.train_mb_size)
        for epoch in range(c.train_epochs):
            rng = generator(0, "order", i, epoch)
            plan = plan_epoch(sizes, y, held_y, torch.zeros_like(held_y), rng)
            for new, old in (plan[k] for k in range(len(plan))):
                z = lower(TRANSFORM.evaluation(x[new])) if latents is None else latents[new]
                z = torch.cat([z, held_z[old]]) if len(old) else z
                labels = torch.cat([y[new], held_y[old]])
                loss = cross_entropy(head(end(z).flatten(1)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        held_z, held_y = _stored(held_z, held_y, lower, latents, experience, c.rm_sz)
        cwr.consolidate()
    return network


@torch.no_grad()
def _latents(lower: nn.Module, x: Tensor) -> Tensor:
    """In chunks of 16, which stay in a processor's caches."""
    short = -len(x) % 16
    padded = torch.cat([x, x[-1:].expand(short, *x.shape[1:])])
    return torch.cat([lower(TRANSFORM.evaluation(rows)) for rows in padded.split(16)])[: len(x)]


def _stored(
    held_z: Tensor,
    held_y: Tensor,
    lower: nn.Module,
    latents: Tensor | None,
    experience: Experience,
    capacity: int,
) -> tuple[Tensor, Tensor]:
    """Fill free places, then replace random old rows: the rows AR1 would choose."""
    (x, y), i = experience.train, experience.index
    free = capacity - len(held_y)
    wanted = min(len(y), max(free, capacity // (i + 1)))
    rng = generator(0, "latent memory", i)
    rows = torch.randperm(len(y), generator=rng)[:wanted].sort().values
    lower.eval()
    z = _latents(lower, x[rows]) if latents is None else latents[rows]
    rng = generator(0, "latent memory places", i)
    gone = torch.randperm(len(held_y), generator=rng)[: max(wanted - free, 0)]
    added = wanted - len(gone)
    held_z[gone], held_y[gone] = z[added:], y[rows][added:]
    return torch.cat([held_z, z[:added]]), torch.cat([held_y, y[rows][:added]])


def loop(options: argparse.Namespace) -> None:
    """AR1 with the reference's defaults, from scratch, against the loop."""
    experiences = stream(3, options.images, 128)
    config = clrun.compose(["strategy=ar1"]).nodes["strategy"].config

    def ours() -> nn.Module:
        return learn(ar1([], model()), experiences)

    def theirs() -> nn.Module:
        return by_hand(model(), experiences, config)

    first, second = turns({"AR1": ours, "loop": theirs}, options.repeats).results
    same = all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    print(f"final weights {'are the same bits' if same else 'DIFFER'}")


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
    parser.add_argument("what", choices=["loop", "cache"])
    parser.add_argument("--images", type=int, default=600, help="in an experience")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    {"loop": loop, "cache": cache}[options.what](options)


if __name__ == "__main__":
    main()
