"""The replay memory: a bounded number of past rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from clrun.images.patterns import Patterns
from clrun.memory.answers import Asked
from clrun.memory.counts import summary
from clrun.memory.selection import ClassExemplarsSelectionStrategy, Extract
from clrun.memory.storage_policy import StoragePolicy
from clrun.memory.table import Measure, Table, empty, select_from_both, table
from clrun.profiling.activity import doing
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
        measures: Mapping[str, Measure] | None = None,
    ) -> None:
        """`measures`: what the strategy can say of any row whenever it is asked, by name; the
        policy and the selection read it as if it were a column."""
        self.mem_size, self.policy, self.selection, self.seed = mem_size, policy, selection, seed
        self.measures = measures or {}
        self.exemplars = self._measured(empty(x=torch.empty((0, 0, 0, 0), dtype=torch.uint8)))

    def __len__(self) -> int:
        return len(self.exemplars)

    @property
    def nbytes(self) -> int:
        return self.exemplars.nbytes

    def offer(
        self,
        patterns: Patterns,
        experience: int,
        extract: Extract,
        keys: Tensor | None = None,
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Let the rows of an experience, or some of them, compete for places.

        `keys` [N] float64 in [0, 1) decide random choices. Give slices of one draw for the whole
        experience when it is offered in pieces; without them the offer is the whole experience.
        `columns`, each [N, ...], are what else is to be stored of the rows; every offer names the
        same.

        Raises:
            ClrunError: the policy or the selection is a user's and answers what it must not.
        """
        x, y = patterns
        if keys is None:
            rng = generator(self.seed, "memory", experience)
            keys = torch.rand(len(y), generator=rng, dtype=torch.float64)
        images = cast(Tensor, x)  # where it is not in memory, a table only selects rows of it
        stored = {name: column.detach().cpu() for name, column in (columns or {}).items()}
        named = {"x": images, **stored}
        new = self._measured(Table(y, torch.full_like(y, experience), keys, named))

        def order(pool: Table, k: int) -> Tensor:
            asked = Asked(self.selection, "make_sorted_indices", len(pool), min(k, len(pool)), True)
            with span("selection"):
                return asked.answer(self.selection.make_sorted_indices(pool, extract, k))

        with span("store"), doing("choosing exemplars"):
            held = self.exemplars if len(self) else new.without_rows()
            asked = Asked(self.policy, "keep", len(held) + len(new), self.mem_size, False)
            kept = asked.answer(self.policy.keep(held, new, self.mem_size, order))
            self.exemplars = self._kept(held, new, kept)

    def _kept(self, held: Table, new: Table, kept: Tensor) -> Table:
        """The rows of these numbers; no copy when the memory stays as it is."""
        assert len(kept) <= self.mem_size, f"the policy keeps {len(kept)} of {self.mem_size} rows"
        unchanged = len(kept) == len(held) and torch.equal(kept, torch.arange(len(held)))
        return held if unchanged else select_from_both(held, new, kept)

    def summary(self) -> dict[str, Any]:
        """How much is held, by class and by experience; see `counts.summary`."""
        return summary(self.exemplars.y, self.exemplars.experience, self.nbytes)

    def state_dict(self) -> dict[str, Tensor]:
        return self.exemplars.columns

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        exemplars = table(state)
        assert len(exemplars) <= self.mem_size, "the state is of a larger memory"
        self.exemplars = self._measured(exemplars)

    def _measured(self, rows: Table) -> Table:
        return replace(rows, measures=self.measures)
