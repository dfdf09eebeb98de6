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
from clrun.memory.ledgers import Bookkeeping, bookkeeping
from clrun.memory.online_rows import OnlineRows
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
        nothing = empty(x=torch.empty((0, 0, 0, 0), dtype=torch.uint8))
        self._rows: Table | OnlineRows = self._measured(nothing)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes

    @property
    def exemplars(self) -> Table:
        """All rows, in the policy's order: copies, where the memory is offered rows as they pass.

        What is drawn of them is read with `take`, and a column with `column`.
        """
        return self._rows.table() if isinstance(self._rows, OnlineRows) else self._rows

    def column(self, name: str) -> Tensor:
        """A stored column of all rows, in the memory's order."""
        rows = self._rows
        return rows.column(name) if isinstance(rows, OnlineRows) else rows.columns[name]

    def take(self, places: Tensor) -> Table:
        """Copies of the rows at these places [k] int64 of the memory's order."""
        rows = self._rows
        return rows.take(places.tolist()) if isinstance(rows, OnlineRows) else rows.select(places)

    def online(self) -> OnlineRows | None:
        """The rows in a form that changes a little at a time; None where the policy has none."""
        book = bookkeeping(self.policy, self.selection)
        return self._online(self._rows, book) if book and len(self) else None

    def _online(self, held: Table | OnlineRows, book: Bookkeeping) -> OnlineRows:
        rules = self.policy, self.selection
        if not isinstance(held, OnlineRows) or held.rules != rules:
            held = self.exemplars if isinstance(held, OnlineRows) else held
            self._rows = held = OnlineRows(held, self.mem_size, book, rules)
        return held

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
        is_piece = keys is not None
        if keys is None:
            rng = generator(self.seed, "memory", experience)
            keys = torch.rand(len(y), generator=rng, dtype=torch.float64)
        images = cast(Tensor, x)  # where it is not in memory, a table only selects rows of it
        stored = {name: column.detach().cpu() for name, column in (columns or {}).items()}
        named = {"x": images, **stored}
        new = self._measured(Table(y, torch.full_like(y, experience), keys, named))
        book = bookkeeping(self.policy, self.selection) if is_piece else None
        if book is None:
            self._choose(new, extract)
            return
        with span("store"), doing("choosing exemplars"):
            held = self._rows if len(self) else new.without_rows()
            self._online(held, book).offer(new)

    def _choose(self, new: Table, extract: Extract) -> None:
        """Ask the policy which of all rows stay."""

        def order(pool: Table, k: int) -> Tensor:
            asked = Asked(self.selection, "make_sorted_indices", len(pool), min(k, len(pool)), True)
            with span("selection"):
                return asked.answer(self.selection.make_sorted_indices(pool, extract, k))

        with span("store"), doing("choosing exemplars"):
            held = self.exemplars if len(self) else new.without_rows()
            self._rows = held
            asked = Asked(self.policy, "keep", len(held) + len(new), self.mem_size, False)
            kept = asked.answer(self.policy.keep(held, new, self.mem_size, order))
            self._rows = self._kept(held, new, kept)

    def _kept(self, held: Table, new: Table, kept: Tensor) -> Table:
        """The rows of these numbers; no copy when the memory stays as it is."""
        assert len(kept) <= self.mem_size, f"the policy keeps {len(kept)} of {self.mem_size} rows"
        unchanged = len(kept) == len(held) and torch.equal(kept, torch.arange(len(held)))
        return held if unchanged else select_from_both(held, new, kept)

    def summary(self) -> dict[str, Any]:
        """How much is held, by class and by experience; see `counts.summary`."""
        return summary(self.column("y"), self.column("experience"), self.nbytes)

    def state_dict(self) -> dict[str, Tensor]:
        return self.exemplars.columns

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        exemplars = table(state)
        assert len(exemplars) <= self.mem_size, "the state is of a larger memory"
        self._rows = self._measured(exemplars)

    def _measured(self, rows: Table) -> Table:
        return replace(rows, measures=self.measures)
