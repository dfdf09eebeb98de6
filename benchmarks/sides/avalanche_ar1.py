"""Avalanche's AR1 with weights that are given instead of downloaded, and a head of that size."""

from __future__ import annotations

from typing import Any

import torch
from arrays import weights
from avalanche.models import MobilenetV1
from avalanche.training.supervised import ar1 as module
from torch import nn


def ar1(case: dict[str, Any], kind: type[module.AR1] = module.AR1) -> module.AR1:
    """Its own strategy, with its default evaluator."""

    def model(pretrained: bool, latent_layer_num: int) -> MobilenetV1:
        assert pretrained, "what the strategy asks for, and is not given"
        made = MobilenetV1(pretrained=False, latent_layer_num=latent_layer_num)
        made.output = nn.Linear(1024, case["data"]["classes"], bias=False)
        found = {name: torch.from_numpy(array) for name, array in weights(case).items()}
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
