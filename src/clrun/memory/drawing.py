"""Rows drawn at an update from a memory that changes as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

import torch
from torch import Generator

from clrun.memory.minibatches import draw
from clrun.memory.online_rows import OnlineRows
from clrun.memory.replay_memory import ReplayMemory
from clrun.memory.sorted_rows import SortedRows
from clrun.memory.table import Table

Balance = Literal["experience", "class", "none"]
COLUMN = {"experience": "experience", "class": "y"}

AT_ONCE = 2048
"""A permutation of so many rows takes less time than to draw a minibatch of them one by one."""
RARE = 4
"""Rows are drawn until enough of them are from the past, unless it has less than one in so many."""


def drawn_rows(memory: ReplayMemory, balance: Balance, size: int, rng: Generator) -> Table:
    """Copies of `size` rows of an online memory, drawn as `minibatches.draw` says."""
    rows = len(memory)
    if balance == "none" and rows > AT_ONCE:
        few = torch.tensor(list(shuffled(rows, size, rng)), dtype=torch.int64)
        return memory.take(few[torch.arange(size) % rows])
    held = memory.online() if rows > AT_ONCE else None
    if held is not None:
        return held.select(list(_shared(held.members(COLUMN[balance]), size, rng)))
    # few rows, or a policy of a user's, which looks at all of them too
    groups = None if balance == "none" else memory.column(COLUMN[balance])
    return memory.take(draw(groups, rows, size, rng))


def drawn_past(memory: ReplayMemory, experience: int, size: int, rng: Generator) -> Table:
    """Copies of `size` rows of other experiences, each at most once, or all if there are fewer."""
    rows, held = len(memory), memory.online() if len(memory) > AT_ONCE else None
    past = rows - len(held.members("experience").get(experience, ())) if held else 0
    if held is None or past * RARE < rows:
        return all_past(memory, experience, size, rng)
    places = _of_past(held, experience, shuffled(rows, rows, rng, at_once=size), size)
    return held.take(list(islice(places, size)))


def all_past(memory: ReplayMemory, experience: int, size: int, rng: Generator) -> Table:
    """What `drawn_past` gives, by a permutation of all rows of other experiences."""
    places = (memory.column("experience") != experience).nonzero().flatten()
    return memory.take(places[torch.randperm(len(places), generator=rng)[:size]])


def _of_past(held: OnlineRows, experience: int, places: Iterator[int], few: int) -> Iterator[int]:
    """Those of the places whose rows are of another experience; looks at a few together."""
    while looked_at := list(islice(places, few)):
        of = held.column_at("experience", looked_at).tolist()
        yield from (p for p, each in zip(looked_at, of, strict=True) if each != experience)


def shuffled(count: int, most: int, rng: Generator, *, at_once: int | None = None) -> Iterator[int]:
    """The first `most` of the numbers below `count`, in an order of chance.

    Fisher and Yates's shuffle, which remembers only what it has moved; so it takes no longer than
    what is asked for. Random numbers are drawn for `at_once` steps together, or for all.
    """
    moved: dict[int, int] = {}
    most = min(most, count)
    piece = at_once or max(most, 1)
    for first in range(0, most, piece):
        steps = min(piece, most - first)
        chances = torch.rand(steps, generator=rng, dtype=torch.float64).tolist()
        for step, chance in enumerate(chances, first):
            chosen = step + int(chance * (count - step))
            yield moved.get(chosen, chosen)
            moved[chosen] = moved.pop(step, step)


def _shared(groups: Mapping[int, SortedRows], size: int, rng: Generator) -> Iterator[int]:
    """Slots of `size` rows, equal shares of each group within one, by lot."""
    ids = sorted(groups)
    share, extra = divmod(size, len(ids))
    lucky = set(shuffled(len(ids), extra, rng))
    for number in range(len(ids)) if share else sorted(lucky):
        rows, own = groups[ids[number]], share + (number in lucky)
        order = list(shuffled(len(rows), own, rng))
        for turn in range(own):
            yield rows[order[turn % len(order)]]
