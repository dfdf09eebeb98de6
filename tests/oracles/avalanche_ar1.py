"""Avalanche's AR1 as it is, and on rows that are prescribed. Runs in Avalanche's environment.

Put right in the latter: labels travel with their latents, which are those of the lower part's final
weights; and BatchReNorm's first running deviation includes eps. Which rows make a minibatch is
prescribed; model, BatchReNorm, head, loss and optimizer are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from avalanche.models import MobilenetV1
from avalanche.models.batch_renorm import BatchRenorm2D
from avalanche.training.supervised import ar1 as module
from avalanche.training.supervised.ar1 import AR1
from torch import nn
from torch.utils.data import DataLoader

from oracles.avalanche_stream import stream
from oracles.by_hand import Rows


def ar1(case: dict[str, Any], weights: dict[str, np.ndarray], kind: type[AR1] = AR1) -> AR1:
    """Avalanche's strategy and default evaluator, with given weights and a head of the size."""

    def model(pretrained: bool, latent_layer_num: int) -> MobilenetV1:
        assert pretrained, "what the strategy asks for, and is not given"
        made = MobilenetV1(pretrained=False, latent_layer_num=latent_layer_num)
        made.output = nn.Linear(1024, case["data"]["classes"], bias=False)
        found = {name: torch.from_numpy(array) for name, array in weights.items()}
        made.load_state_dict(found)
        return made

    module.MobilenetV1 = model
    same = ("lr", "inc_lr", "momentum", "l2", "init_update_rate", "inc_update_rate", "max_r_max")
    same += ("max_d_max", "inc_step", "rm_sz", "ewc_lambda")
    return kind(
        train_epochs=case["epochs"],
        train_mb_size=case["mb"],
        eval_mb_size=case["mb"],
        freeze_below_layer="lat_features.19.bn",
        device="cpu",
        **{name: case[name] for name in same},
    )


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
    """The place of each row in Avalanche's experience, which has one class after the other."""
    return np.argsort(np.argsort(y, kind="stable")).tolist()


def losses_on_given_rows(
    case: dict[str, Any],
    weights: dict[str, np.ndarray],
    rows: Sequence[Rows],
    plans: list[Any],
    chosen: list[Any],
) -> tuple[list[list[float]], Any]:
    """Train on these plans: the losses of each experience, and the second minibatch's logits."""
    OnGivenRows.plans, OnGivenRows.chosen = plans, chosen
    OnGivenRows.places = [by_class(experience.train_y) for experience in rows]
    strategy = ar1(case, weights, OnGivenRows)
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
    for experience in stream(case, rows).train_stream:
        losses.append([])
        strategy.train(experience)
    return losses, logits[1]
