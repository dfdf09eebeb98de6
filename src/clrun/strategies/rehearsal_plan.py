"""Which rows the minibatches of rehearsal are made of, and how many there will be.

Numbers of rows alone: no images, no device, no learner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from clrun.images.patterns import Patterns
from clrun.memory.composition import Composition
from clrun.memory.minibatches import EpochPlan, plan_epoch
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.selection import RandomExemplarsSelectionStrategy
from clrun.memory.table import Table
from clrun.seeds import generator
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import shuffled_rows
from clrun.strategies.places import num_updates
from clrun.strategies.replay_keys import ReplayKeys
from clrun.strategies.strategy import Ahead


def planned_rows(
    keys: ReplayKeys, y: Tensor, held: Table, seed: int, experience: int, epoch: int
) -> EpochPlan:
    """The minibatches of an epoch over rows of the classes y [N], beside the rows held."""
    rng = generator(seed, "order", experience, epoch)
    return plan_epoch(Composition.of(keys), y, held.y, held.experience, rng)


def online_rows(
    keys: ReplayKeys, rows: int, seed: int, experience: int, epoch: int
) -> Sequence[Tensor]:
    """The current rows of each minibatch of an epoch whose memory changes as it goes."""
    share = memory_share(keys) if keys.mix == "split" else 0
    size = keys.train_mb_size - share
    return shuffled_rows(rows, keys, seed, experience, epoch, minibatch=size)


def memory_share(keys: ReplayKeys) -> int:
    """Memory rows in a minibatch whose memory changes as it goes."""
    default = keys.train_mb_size // 2 if keys.mix == "split" else keys.train_mb_size
    return keys.memory_mb_size or default


def rehearsal_updates(keys: ReplayKeys, ahead: Ahead) -> list[int]:
    """How many updates `places` yields with `Rehearsal.plan` in each experience.

    Where that depends on what is held, the memory is filled with rows that have no images, chosen
    at random: another selection holds as many.

    Raises:
        ConfigError: more groups share a minibatch than it has rows.
    """
    updates, memory = [], _without_images(keys.mem_size - keys.held_out_places, ahead)
    depends = not Composition.of(keys).has_one_length
    for index, y in enumerate(ahead.labels):
        if keys.memory_update == "minibatch":
            plan = partial(online_rows, keys, len(y), ahead.seed, index)
            updates.append(num_updates(keys, plan))
            continue
        held = memory.exemplars
        updates.append(num_updates(keys, partial(planned_rows, keys, y, held, ahead.seed, index)))
        if depends or index == 0:
            _offer(memory, y, index)
    return updates


def joint_updates(keys: DescentKeys, mem_size: int, ahead: Ahead) -> list[int]:
    """How many updates `places` yields with `joint_rows` in each experience; see above."""
    updates, memory = [], _without_images(mem_size, ahead)
    for index, y in enumerate(ahead.labels):
        rows = len(y), len(memory)
        updates.append(num_updates(keys, partial(joint_rows, *rows, keys, ahead.seed, index)))
        _offer(memory, y, index)
    return updates


def held_after(mem_size: int, ahead: Ahead) -> Iterator[int]:
    """How many rows are held when each experience has been offered as a whole."""
    memory = _without_images(mem_size, ahead)
    for index, y in enumerate(ahead.labels):
        _offer(memory, y, index)
        yield len(memory)


def joint_rows(
    rows: int, held: int, keys: DescentKeys, seed: int, experience: int, epoch: int
) -> EpochPlan:
    """The minibatches of an epoch over current and held rows, all of them shuffled together."""
    minibatches = shuffled_rows(rows + held, keys, seed, experience, epoch)
    return EpochPlan(
        current=[numbers[numbers < rows] for numbers in minibatches],
        memory=[numbers[numbers >= rows] - rows for numbers in minibatches],
    )


def _offer(memory: ReplayMemory, y: Tensor, experience: int) -> None:
    x = torch.empty((len(y), 0, 0, 0), dtype=torch.uint8)
    memory.offer(Patterns(x, y), experience, _no_features)


def _without_images(mem_size: int, ahead: Ahead) -> ReplayMemory:
    """A memory for rows that no model has seen; all of them have the loss 0."""
    chance = RandomExemplarsSelectionStrategy(RandomExemplarsSelectionStrategy.Config())
    measures = {"loss": lambda rows: torch.zeros(len(rows))}
    return ReplayMemory(mem_size, ahead.storage_policy, chance, ahead.seed, measures)


def _no_features(x: Tensor, layer: str | None) -> Tensor:
    raise AssertionError("choosing at random looks at no features")
