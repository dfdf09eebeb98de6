"""Latent memory: a bounded number of past rows as the lower part of a model sees them.

Pellegrini et al. 2020 (https://arxiv.org/abs/1912.01100). Which rows stay is decided before their
latents are computed, so that no others need to be computed or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.memory.codec import LatentDtype, bytes_of_latents
from clrun.memory.counts import summary
from clrun.memory.storage_policy import LatentReplacementStoragePolicy, StoragePolicy
from clrun.memory.stored_latents import StoredLatents
from clrun.memory.table import Table, empty, select_from_both, table
from clrun.seeds import generator


class LatentMemory:
    """At most `rm_sz` latents, or as many as fit into `rm_bytes` where that is given.

    It owns its rows, on the CPU: what belongs to each in the table `rows`, with the column `sample`
    (the row's number in its experience), and its latents as `dtype`, in the table's order. A policy
    sees no latents; AR1's replaces random old rows in place.
    """

    def __init__(
        self,
        rm_sz: int,
        rm_bytes: int | None,
        dtype: LatentDtype,
        seed: int,
        policy: StoragePolicy | None = None,
    ) -> None:
        self.rm_sz, self.rm_bytes, self.dtype, self.seed = rm_sz, rm_bytes, dtype, seed
        self.policy = policy or LatentReplacementStoragePolicy()
        self.rows = empty(sample=torch.empty(0, dtype=torch.int64))
        self._stored = StoredLatents(dtype)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def codes(self) -> Tensor:
        """The latents as they are stored. [N, C, ...]"""
        return self._stored.codes

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self._stored.nbytes

    def capacity(self, latent_shape: Sequence[int]) -> int:
        """Most rows it may hold, for latents of this shape.

        Raises:
            ConfigError: not one row fits into `rm_bytes`.
        """
        if self.rm_bytes is None:
            return self.rm_sz
        row, fixed = bytes_needed(latent_shape, self.dtype)
        if self.rm_bytes < fixed + row:
            shape = "x".join(map(str, latent_shape))
            raise ConfigError(
                f"strategy.rm_bytes={self.rm_bytes}: one {self.dtype} latent of {shape} takes "
                f"{fixed + row} bytes. Use at least {fixed + row}, or null."
            )
        return (self.rm_bytes - fixed) // row

    def offer(
        self,
        y: Tensor,
        experience: int,
        latents_of: Callable[[Tensor], Tensor],
        latent_shape: Sequence[int],
    ) -> None:
        """Let all rows of an experience, of the classes `y` [N], compete for places.

        `latents_of` computes latents, of the rows that get one alone: [n] int64, numbers of rows in
        the experience, -> [n, C, ...]. It is called for a few rows at a time, and twice for each
        where they are stored as uint8.
        """
        capacity = self.capacity(latent_shape)
        held, new = self._with_lots(experience), self._offered(y, experience)
        kept = self.policy.keep(held, new, capacity, _by_key)
        assert len(kept) <= capacity, f"the policy keeps {len(kept)} of {capacity} rows"
        self._stored.keep(kept, latents_of, capacity)
        self.rows = replace(select_from_both(held, new, kept), measures={})

    def _offered(self, y: Tensor, experience: int) -> Table:
        """New rows, whose keys put them in random order."""
        rng = generator(self.seed, "latent memory", experience)
        order = torch.randperm(len(y), generator=rng)
        key = torch.empty(len(y), dtype=torch.float64)
        key[order] = torch.rand(len(y), generator=rng, dtype=key.dtype).sort(descending=True).values
        return Table(y, torch.full_like(y, experience), key, {"sample": torch.arange(len(y))})

    def _with_lots(self, experience: int) -> Table:
        """The rows held, for a policy that draws lots among them: `lot` is drawn anew each time."""

        def lots(rows: Table) -> Tensor:
            rng = generator(self.seed, "latent memory places", experience)
            return torch.randperm(len(rows), generator=rng).argsort()

        return replace(self.rows, measures={"lot": lots})

    def latents(self, index: Tensor) -> Tensor:
        """The latents of the rows at `index` [k]: [k, C, ...] float32"""
        return self._stored.take(index)

    def summary(self) -> dict[str, Any]:
        """How much is held, by class and by experience; see `counts.summary`."""
        return summary(self.rows.y, self.rows.experience, self.nbytes)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows.columns, "latents": self._stored.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = table(state["rows"])
        self._stored.load_state_dict(state["latents"])


def bytes_needed(latent_shape: Sequence[int], dtype: LatentDtype) -> tuple[int, int]:
    """(bytes a row takes with what belongs to it, bytes taken whatever the number of rows)."""
    row, fixed = bytes_of_latents(tuple(latent_shape), dtype)
    belongings = 4 * 8  # class, experience, key and number in the experience
    return row + belongings, fixed


def _by_key(rows: Table, k: int) -> Tensor:
    """The k rows with the largest keys: k random ones."""
    return rows.key.argsort(descending=True, stable=True)[:k]
