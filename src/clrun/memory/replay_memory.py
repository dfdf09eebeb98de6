"""The replay memory: a bounded number of past rows."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from clrun.images.patterns import Patterns
from clrun.memory.exemplars import Exemplars, empty
from clrun.memory.selection import ClassExemplarsSelectionStrategy, Extract
from clrun.memory.storage_policy import StoragePolicy
from clrun.profiling.spans import span
from clrun.seeds import generator


class ReplayMemory:
    """At most `mem_size` rows, chosen by a storage policy and a selection strategy.

    It owns copies of its rows, on the CPU, never views of the stream; so its cost depends on
    `mem_size` and on what is offered, not on how many experiences have passed.
    """

    def __init__(
        self,
        mem_size: int,
        policy: StoragePolicy,
        selection: ClassExemplarsSelectionStrategy,
        seed: int,
    ) -> None:
        self.mem_size, self.policy, self.selection, self.seed = mem_size, policy, selection, seed
        self.exemplars = empty()

    def __len__(self) -> int:
        return self.exemplars.num_rows

    @property
    def nbytes(self) -> int:
        return self.exemplars.nbytes

    def offer(
        self, patterns: Patterns, experience: int, extract: Extract, keys: Tensor | None = None
    ) -> None:
        """Let the rows of an experience, or some of them, compete for places.

        `keys` [N] float64 in [0, 1) decide random choices. Give slices of one draw for the whole
        experience when it is offered in pieces; without them the offer is the whole experience.
        """
        x, y = patterns
        if keys is None:
            rng = generator(self.seed, "memory", experience)
            keys = torch.rand(len(y), generator=rng, dtype=torch.float64)
        new = Exemplars(x, y, torch.full_like(y, experience), keys)

        def order(pool: Exemplars, k: int) -> Tensor:
            with span("selection"):
                return self.selection.make_sorted_indices(pool, extract, k)

        with span("store"):
            self.exemplars = self.policy.keep(self.exemplars, new, self.mem_size, order)

    def rows_per_class(self) -> dict[int, int]:
        """class -> rows held, by class."""
        return _counts(self.exemplars.y)

    def rows_per_experience(self) -> dict[int, int]:
        """experience -> rows held, by experience."""
        return _counts(self.exemplars.experience)

    def state_dict(self) -> dict[str, Tensor]:
        return self.exemplars._asdict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        exemplars = Exemplars(**state)
        assert exemplars.num_rows <= self.mem_size, "the state is of a larger memory"
        self.exemplars = exemplars


def _counts(ids: Tensor) -> dict[int, int]:
    return dict(sorted(Counter(ids.tolist()).items()))
