"""Avalanche's AR1 on the rows of clrun's: parity_avalanche_side.py CASE.json OUT.json.

Put right in it: labels travel with their latents, which are those of the lower part's final
weights; and BatchReNorm's first running deviation includes eps. Which rows make a minibatch is
prescribed; model, BatchReNorm, head, loss and optimizer are its own.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from arrays import experiences
from avalanche.models.batch_renorm import BatchRenorm2D
from avalanche.training.supervised.ar1 import AR1
from avalanche_ar1 import ar1
from avalanche_data import stream
from measure import read_case, write_result
from torch.utils.data import DataLoader


class OnGivenRows(AR1):
    """AR1 whose loader and memory follow a plan."""

    plans: ClassVar[list[Any]]
    chosen: ClassVar[list[Any]]
    places: ClassVar[list[list[int]]]

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Its training loop asks for nothing else."""

    def training_epoch(self, **kwargs: Any) -> None:
        i, epoch = self.clock.train_exp_counter, self.clock.train_exp_epochs
        plan, place = self.plans[i][epoch], self.places[i]
        self.dataloader = DataLoader(
            self.adapted_dataset,
            batch_sampler=[[place[row] for row in current] for current, _ in plan],
            collate_fn=self.adapted_dataset.collate_fn,
        )
        kept = self.rm
        if i > 0:
            sizes = {len(memory) for _, memory in plan}
            assert len(sizes) == 1, "choose sizes whose last minibatch is whole"
            (self.replay_mb_size,) = sizes
            order = torch.tensor([row for _, memory in plan for row in memory])
            self.rm = kept[0][order], kept[1][order]
        super().training_epoch(**kwargs)
        self.rm = kept

    def _after_training_exp(self, **kwargs: Any) -> None:
        kept = None
        if self.clock.train_exp_counter == 0:
            rows = [self.places[0][row] for row in self.chosen[0]]
            data = [self.adapted_dataset[row] for row in rows]
            with torch.no_grad():
                latents = self.model.lat_features(torch.stack([d[0] for d in data]))
            kept = latents, torch.tensor([d[1] for d in data])
        super()._after_training_exp(**kwargs)
        if kept is not None:
            self.rm = kept


def by_class(y: np.ndarray) -> list[int]:
    """Where each row is in Avalanche's experience, which has one class after the other."""
    return np.argsort(np.argsort(y, kind="stable")).tolist()


def main() -> None:
    case = read_case()
    warnings.simplefilter("ignore")
    torch.set_num_threads(case["threads"])
    told = torch.load(case["rows_file"])
    OnGivenRows.plans, OnGivenRows.chosen = told["plans"], told["chosen"]
    OnGivenRows.places = [by_class(rows.train_y) for rows in experiences(case)]
    strategy = ar1(case, OnGivenRows)
    for layer in strategy.model.modules():
        if isinstance(layer, BatchRenorm2D):
            layer.running_avg_std = (layer.running_avg_std**2 + layer.eps).sqrt()
    losses: list[list[float]] = []
    logits: list[Any] = []
    criterion = strategy._criterion

    def noting(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = criterion(output, y)
        losses[-1].append(float(loss))
        logits.append(output.detach().tolist() if len(logits) < 2 else None)
        return loss

    strategy._criterion = noting
    for experience in stream(case).train_stream:
        losses.append([])
        strategy.train(experience)
    write_result({"losses": losses, "logits": logits[1]})


if __name__ == "__main__":
    main()
