"""Naive with the replay plugin, its storage and its selection."""

from __future__ import annotations

from typing import Any

import torch
from arrays import weights
from avalanche.training import storage_policy as storage
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.supervised import Naive
from models import FEATURES, MODELS
from torch import nn

BUFFERS = {
    "experience_balanced": storage.ExperienceBalancedBuffer,
    "class_balanced": storage.ClassBalancedBuffer,
    "reservoir": storage.ReservoirSamplingBuffer,
}
SELECTIONS = {
    "herding": storage.HerdingSelectionStrategy,
    "closest_to_center": storage.ClosestToCenterSelectionStrategy,
}


def naive_with_replay(case: dict[str, Any]) -> Naive:
    """128 rows and 128 from the memory, as clrun's case."""
    data = case["data"]
    model = MODELS[case["model"]](data["channels"], data["side"], data["classes"])
    model.load_state_dict({name: torch.from_numpy(a) for name, a in weights(case).items()})
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
