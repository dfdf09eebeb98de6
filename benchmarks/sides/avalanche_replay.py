"""Avalanche's Naive with the replay plugin, its storage and its selection."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from avalanche.training import storage_policy as storage
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.supervised import Naive
from torch import nn

from oracles.models import FEATURES, MODELS

BUFFERS = {
    "experience_balanced": storage.ExperienceBalancedBuffer,
    "class_balanced": storage.ClassBalancedBuffer,
    "reservoir": storage.ReservoirSamplingBuffer,
}
SELECTIONS = {
    "herding": storage.HerdingSelectionStrategy,
    "closest_to_center": storage.ClosestToCenterSelectionStrategy,
}


def naive_with_replay(case: dict[str, Any], weights: dict[str, np.ndarray]) -> Naive:
    """The strategy for minibatches of 128 rows and 128 from the memory, as clrun's."""
    data = case["data"]
    model = MODELS[case["model"]](data["channels"], data["side"], data["classes"])
    model.load_state_dict({name: torch.from_numpy(a) for name, a in weights.items()})
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), case["lr"], momentum=case["momentum"]),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=case["mb"],
        train_epochs=case["epochs"],
        eval_mb_size=case["mb"],
        plugins=[ReplayPlugin(case["mem_size"], storage_policy=_policy(case, model))],
    )


def _policy(case: dict[str, Any], model: nn.Module) -> storage.ExemplarsBuffer:
    size, selection = case["mem_size"], case["selection"]
    if selection == "random":
        return BUFFERS[case["storage_policy"]](max_size=size)
    chosen = SELECTIONS[selection](model, FEATURES[case["model"]])
    return storage.ParametricBuffer(size, groupby="class", selection_strategy=chosen)
