"""Experience replay as one would write it down for speed, with nothing around it.

The same maths as clrun's on the same rows in the same order, which come from clrun's functions of
indices and features; everything else is written out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from clrun.memory.composition import Composition
from clrun.memory.herding import closest_to_center, herding
from clrun.memory.minibatches import plan_epoch
from clrun.memory.quotas import shares
from clrun.seeds import generator
from oracles.by_hand import SGD, Rows, scale_and_shift
from oracles.models import MODELS

EVALUATION = 2048
"""Rows evaluated at once."""
RANKINGS = {"herding": herding, "closest_to_center": closest_to_center}


class StoredRows(NamedTuple):
    """The memory, in the order in which its rows would go: a group's last ones first."""

    x: Tensor
    y: Tensor
    experience: Tensor
    key: Tensor


class ReplayLoop:
    """Minibatches of current and remembered rows; a memory that is filled after each experience."""

    def __init__(
        self, case: dict[str, Any], weights: dict[str, np.ndarray], stream: Sequence[Rows]
    ) -> None:
        self.case, self.stream = case, stream
        data = case["data"]
        self.net = MODELS[case["model"]](data["channels"], data["side"], data["classes"])
        self.net.load_state_dict({name: torch.from_numpy(a) for name, a in weights.items()})
        self.images = case["model"] != "mlp"
        if self.images:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.scale, self.shift = scale_and_shift(case, data["channels"])
        self.sgd = SGD(list(self.net.parameters()), case["lr"], case["momentum"], 0.0)
        self.held: StoredRows | None = None
        self.patterns = 0

    def learn(self, i: int) -> None:
        """Train on experience i, then let its rows compete for the memory's places."""
        rows = self.stream[i]
        x, y = torch.from_numpy(rows.train_x), torch.from_numpy(rows.train_y)
        self.net.train()
        size, held = self.case["mb"], self.held
        none = torch.empty(0, dtype=torch.int64)
        held_y, held_experience = (held.y, held.experience) if held else (none, none)
        sizes = Composition(size, size, "add", "none", "current")
        rng = generator(self.case["seed"], "order", i, 0)
        plan = plan_epoch(sizes, y, held_y, held_experience, rng)
        for k in range(len(plan)):
            current, memory = plan[k]
            if held is None:
                self._update(x.index_select(0, current), y[current])
                continue
            both = torch.empty(len(current) + len(memory), *x.shape[1:], dtype=torch.uint8)
            torch.index_select(x, 0, current, out=both[: len(current)])
            torch.index_select(held.x, 0, memory, out=both[len(current) :])
            self._update(both, torch.cat([y[current], held_y[memory]]))
        self._store(i, x, y)

    def _update(self, x: Tensor, y: Tensor) -> None:
        self.patterns += len(y)
        loss = cross_entropy(self.net(self._pixels(x)), y)
        self.sgd.follow(torch.autograd.grad(loss, self.sgd.parameters))

    def _pixels(self, x: Tensor) -> Tensor:
        if self.images:
            x = x.contiguous(memory_format=torch.channels_last)
        return x.float().mul_(self.scale).add_(self.shift)

    def _store(self, i: int, x: Tensor, y: Tensor) -> None:
        """Let old and new rows compete for the memory's places."""
        rng = generator(self.case["seed"], "memory", i)
        key = torch.rand(len(y), generator=rng, dtype=torch.float64)
        new = StoredRows(x, y, torch.full_like(y, i), key)
        if self.case["storage_policy"] == "reservoir":
            self.held = self._reservoir(new)
            return
        by_class = self.case["storage_policy"] == "class_balanced"
        groups = [] if self.held is None else _groups(self.held, by_class)
        arrivals = sorted(_groups(new, by_class), key=lambda group: int(group.y[0]))
        available = [len(group.y) for group in [*groups, *arrivals]]
        quotas = shares(available, self.case["mem_size"])
        groups += [
            self._ranked(group, quota)
            for group, quota in zip(arrivals, quotas[len(groups) :], strict=True)
        ]
        kept = [
            [field[:quota] for field in group] for group, quota in zip(groups, quotas, strict=True)
        ]
        self.held = StoredRows(*(torch.cat(fields) for fields in zip(*kept, strict=True)))

    def _reservoir(self, new: StoredRows) -> StoredRows:
        old = [self.held] if self.held else []
        keys = torch.cat([part.key for part in [*old, new]])
        best = keys.argsort(descending=True, stable=True)[: self.case["mem_size"]]
        if not old:
            return StoredRows(*(field[best] for field in new))
        late = best >= len(self.held.y)
        early = [field[best[~late]] for field in self.held]
        fresh = [field[best[late] - len(self.held.y)] for field in new]
        place = torch.cat([(~late).nonzero().flatten(), late.nonzero().flatten()]).argsort()
        pairs = zip(early, fresh, strict=True)
        return StoredRows(*(torch.cat(pair)[place] for pair in pairs))

    def _ranked(self, group: StoredRows, most: int) -> StoredRows:
        """The first rows of a group that is new, best first."""
        selection = self.case["selection"]
        if selection == "random":
            best = group.key.argsort(descending=True, stable=True)[:most]
        else:
            best = RANKINGS[selection](self._features(group.x), most)
        return StoredRows(*(field[best] for field in group))

    @torch.inference_mode()
    def _features(self, x: Tensor) -> Tensor:
        self.net.eval()
        parts = [self.net.features(self._pixels(rows)) for rows in x.split(EVALUATION)]
        return torch.cat(parts)

    def state(self) -> dict[str, np.ndarray]:
        """All that learns, by clrun's names."""
        return {name: p.detach().numpy() for name, p in self.net.named_parameters()}

    @torch.inference_mode()
    def accuracy(self) -> float:
        """Mean accuracy over the stream's experiences."""
        self.net.eval()
        found = []
        for rows in self.stream:
            x, y = torch.from_numpy(rows.test_x), torch.from_numpy(rows.test_y)
            logits = [self.net(self._pixels(part)) for part in x.split(EVALUATION)]
            found.append(float((torch.cat(logits).argmax(1) == y).float().mean()))
        return sum(found) / len(found)


def _groups(rows: StoredRows, by_class: bool) -> list[StoredRows]:
    """Rows of one class or one experience each, in the order of first rows; none comes back."""
    ids = rows.y if by_class else rows.experience
    seen = list(dict.fromkeys(ids.tolist()))
    return [StoredRows(*(field[ids == group] for field in rows)) for group in seen]
