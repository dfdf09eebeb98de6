"""How many updates a strategy would make on a stream, from its keys and the labels alone.

Where a memory decides how minibatches are made up, the memory's own code is run on rows without
images, so that the number is the one a run counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from clrun.config.bases import component
from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.memory.composition import Composition, proportional_shares
from clrun.memory.latent_memory import LatentMemory
from clrun.memory.minibatches import plan_epoch
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.selection import RandomExemplarsSelectionStrategy
from clrun.runner.prepare import build
from clrun.seeds import generator
from clrun.streams.experience import Benchmark


class Updates(NamedTuple):
    """How many there will be."""

    total: int | None
    """None where nobody can tell"""
    by_experience: list[int] | None
    """None also where the strategy learns the stream as one experience"""
    note: str | None
    """why there is no number, or what it does not take into account"""


class _Question(NamedTuple):
    """What a count starts from."""

    config: RunConfig
    keys: Any
    """the strategy's `Config`"""
    labels: list[Tensor]
    """of the training rows of each experience"""
    stream: Benchmark


def foretold(config: RunConfig, stream: Benchmark) -> Updates:
    """The updates that a run of `config` on `stream` makes, or why there is no such number."""
    strategy = component(config.nodes["strategy"])
    plan = PLANS.get(f"{strategy.learn.__module__}:{strategy.learn.__qualname__}")
    if plan is None:
        return Updates(None, None, "this strategy does not say how many updates it makes")
    labels = [experience.train.y for experience in stream]
    if strategy.whole_stream:
        labels = [torch.cat(labels)]
    asked = _Question(config, config.nodes["strategy"].config, labels, stream)
    try:
        updates = plan(asked)
    except ConfigError as error:  # of minibatches that cannot be made up; no reason to show nothing
        return Updates(None, None, f"a run would stop: {error}")
    note = None if _chooses_at_random(asked) else "counted as for selection=random"
    return Updates(sum(updates), None if strategy.whole_stream else updates, note)


def _chooses_at_random(asked: _Question) -> bool:
    """Whether what is in the memory depends on no model."""
    strategy = component(asked.config.nodes["strategy"])
    random = component(asked.config.nodes["selection"])
    return not strategy.uses_memory or random is RandomExemplarsSelectionStrategy


def _naive(asked: _Question) -> list[int]:
    return [_passes(len(y), asked.keys.train_mb_size, asked) for y in asked.labels]


def _cumulative(asked: _Question) -> list[int]:
    seen = torch.tensor([len(y) for y in asked.labels]).cumsum(0).tolist()
    return [_passes(rows, asked.keys.train_mb_size, asked) for rows in seen]


def _replay(asked: _Question) -> list[int]:
    c = asked.keys
    if c.memory_update == "minibatch":
        remembered = (c.memory_mb_size or c.train_mb_size // 2) if c.mix == "split" else 0
        size = c.train_mb_size - remembered
        return [_passes(len(y), size, asked) for y in asked.labels]
    return _with_memory(asked, _empty_memory(asked))


def _with_memory(asked: _Question, memory: ReplayMemory) -> list[int]:
    """Updates of each experience, with what the memory will hold by then."""
    c, updates = asked.keys, []
    composition = Composition.of(c)
    if c.epoch_length == "current" and not composition.shared_by_group:
        sizes = [c.train_mb_size, *[composition.two_sizes()[0]] * (len(asked.labels) - 1)]
        # whatever the memory will hold, so thousands of experiences are counted fast
        pairs = zip(asked.labels, sizes, strict=True)
        return [_passes(len(y), size, asked) for y, size in pairs]
    for index, y in enumerate(asked.labels):
        held, rng = memory.exemplars, generator(asked.config.seed, "order", index, 0)
        epoch = plan_epoch(composition, y, held.y, held.experience, rng)
        updates.append(c.train_epochs * len(epoch))
        no_images = torch.empty((len(y), 0, 0, 0), dtype=torch.uint8)
        memory.offer(Patterns(no_images, y), index, _no_features)
    return updates


def _empty_memory(asked: _Question) -> ReplayMemory:
    """One that chooses rows at random, which takes no model: how many it holds is the same."""
    policy = build(asked.config.nodes["storage_policy"])
    chance = RandomExemplarsSelectionStrategy(RandomExemplarsSelectionStrategy.Config())
    return ReplayMemory(asked.keys.mem_size, policy, chance, asked.config.seed)


def _no_features(x: Tensor, layer: str | None) -> Tensor:
    raise AssertionError("choosing at random looks at no features")


def _ar1(asked: _Question) -> list[int]:
    capacity, held, updates = _latent_capacity(asked), 0, []
    for index, y in enumerate(asked.labels):
        new, _ = proportional_shares(len(y), held, asked.keys.train_mb_size)
        updates.append(_passes(len(y), new, asked))
        wanted = min(len(y), max(capacity - held, capacity // (index + 1)))
        held = min(capacity, held + wanted)
    return updates


def _latent_capacity(asked: _Question) -> int:
    """Rows the latent memory may hold; where that is said in bytes, the model's cut decides."""
    c, shape = asked.keys, asked.stream.shape
    memory = LatentMemory(c.rm_sz, c.rm_bytes, c.latent_dtype, asked.config.seed)
    if c.rm_bytes is None:
        return memory.capacity(())
    from clrun.strategies.split_model import (
        copied,  # imports torch's compiler, a second for AR1 alone
    )

    cut = copied(build(asked.config.nodes["model"], shape), c).cut
    return memory.capacity(cut.latent_shape((shape.channels, shape.height, shape.width)))


def _passes(rows: int, size: int, asked: _Question) -> int:
    """Minibatches of `size` in all passes over `rows`; the last of a pass may be short."""
    epochs: int = asked.keys.train_epochs
    return -(-rows // size) * epochs


Plan = Callable[[_Question], list[int]]
"""The updates of each experience."""

PLANS: dict[str, Plan] = {
    "clrun.strategies.naive:Naive.learn": _naive,
    "clrun.strategies.der:DER.learn": _naive,
    "clrun.strategies.lwf:LwF.learn": _naive,
    "clrun.strategies.er_ace:ERACE.learn": _replay,
    "clrun.strategies.cumulative:Cumulative.learn": _cumulative,
    "clrun.strategies.replay:Replay.learn": _replay,
    "clrun.strategies.ar1:AR1.learn": _ar1,
}
"""By the loop that makes the updates, so a strategy that inherits one is foretold with it. Named,
not imported: only the strategy that is asked for is."""
