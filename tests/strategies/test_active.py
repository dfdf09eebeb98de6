"""Which outputs a row's loss knows, against networks whose heads are really separate."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.strategies.naive import Naive
from clrun.strategies.replay import Replay

REPLAY = {
    "mem_size": 20,
    "mix": "add",
    "memory_mb_size": 5,
    "balance": "none",
    "epoch_length": "current",
    "memory_update": "experience",
}
OPTIMIZERS = {
    "sgd": {"lr": 0.3},
    "decay": {"lr": 0.3, "l2": 0.05},
    "momentum": {"lr": 0.1, "momentum": 0.9, "l2": 0.01},
    "adam": {"optimizer": "adam", "lr": 0.01, "l2": 0.01},
    "adamw": {"optimizer": "adamw", "lr": 0.01, "l2": 0.1},
}


@pytest.fixture
def naive(descent_keys, parts_of):
    def make(*, tricks=True, **changes) -> Naive:
        return Naive(Naive.Config(**{**descent_keys, **changes}), parts_of(tricks=tricks))

    return make


@pytest.fixture
def replay(descent_keys, parts_of, recording):
    def make(*, tricks=True, **changes) -> Replay:
        policy = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
        parts = parts_of(tricks=tricks, transform=recording, storage_policy=policy)
        return Replay(Replay.Config(**{**descent_keys, **REPLAY, **changes}), parts)

    return make


class SeparateHeads(nn.Module):
    """A trunk below one linear layer for each experience: what `active=experience` is to be."""

    def __init__(self, masked: nn.Module, classes: list[list[int]]) -> None:
        super().__init__()
        self.classes = classes
        self.features = deepcopy(masked.features)
        self.heads = nn.ModuleList(nn.Linear(8, len(own)) for own in classes)
        for head, own in zip(self.heads, classes, strict=True):
            head.weight.data.copy_(masked.output.weight[own])
            head.bias.data.copy_(masked.output.bias[own])

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean over rows of the loss by the head that knows the row's class."""
        total = torch.zeros(())
        for head, own in zip(self.heads, self.classes, strict=True):
            rows = torch.isin(y, torch.tensor(own))
            if rows.any():
                target = torch.tensor([own.index(label) for label in y[rows].tolist()])
                logits = head(self.features(x[rows]))
                total = total + cross_entropy(logits, target, reduction="sum")
        return total / len(y)

    def joined(self) -> list[Tensor]:
        """The weights as those of one head over all classes."""
        order = torch.tensor([c for own in self.classes for c in own]).argsort()
        weight = torch.cat([head.weight for head in self.heads])[order]
        bias = torch.cat([head.bias for head in self.heads])[order]
        return [*self.features.parameters(), weight, bias]


def optimizer_of(model: nn.Module, keys: dict) -> torch.optim.Optimizer:
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    more = {"momentum": keys["momentum"]} if "momentum" in keys else {}
    kind = kinds[keys.get("optimizer", "sgd")]
    return kind(model.parameters(), lr=keys["lr"], weight_decay=keys.get("l2", 0), **more)


def weights(strategy) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in strategy.learner.model.parameters()]


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


CLASSES = [[4, 0], [2, 5], [1, 3]]


@pytest.mark.parametrize("tricks", [True, False], ids=["ours", "torch"])
@pytest.mark.parametrize("state", ["keep", "fresh"])
@pytest.mark.parametrize("keys", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_one_masked_head_is_as_many_separate_ones(keys, state, tricks, replay, numbered, recording):
    """With replay, though in the first experience there is nothing to replay."""
    trained = replay(
        active="experience", optimizer_state=state, train_epochs=2, tricks=tricks, **keys
    )
    separate = SeparateHeads(trained.learner.model, CLASSES)
    stream = [numbered(k, rows=40, classes=own) for k, own in enumerate(CLASSES)]
    rows = {1000 * e.index + i: (e.train.x[i], e.train.y[i]) for e in stream for i in range(40)}

    steps = [(e.index, step) for e in stream for step in trained.learn(e)]

    optimizer, begun = optimizer_of(separate, keys), 0
    for (index, step), numbers in zip(steps, recording.minibatches, strict=True):
        if index != begun and state == "fresh":
            optimizer = optimizer_of(separate, keys)
        begun = index
        x = torch.stack([rows[n][0] for n in numbers]).float() / 255
        loss = separate.loss(x, torch.stack([rows[n][1] for n in numbers]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        assert float(step.loss) == pytest.approx(float(loss.detach()), abs=1e-5)
    torch.testing.assert_close(weights(trained), separate.joined(), rtol=0, atol=1e-6)
