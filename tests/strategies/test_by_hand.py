"""Replay and AR1 learn what the loops written by hand learn (tests/oracles)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

import clrun
from clrun.runner.prepare import prepare
from oracles.ar1 import AR1Loop
from oracles.by_hand import Rows
from oracles.replay import ReplayLoop

REPLAY = {"lr": 0.02, "momentum": 0.9, "mem_size": 20}
AR1 = {
    "lr": 0.001,
    "inc_lr": 2e-4,
    "momentum": 0.9,
    "l2": 0.0005,
    "init_update_rate": 0.01,
    "inc_update_rate": 5e-5,
    "max_r_max": 1.25,
    "max_d_max": 0.5,
    "inc_step": 4.1e-5,
    "rm_sz": 20,
}


def learn_both(
    trial: Callable[..., Any], words: list[str], loop_class: Any, case: dict[str, Any]
) -> tuple[Any, Any]:
    """The strategy and the loop, from the same weights, after the same stream."""
    words = [
        *words,
        f"strategy.train_mb_size={case['mb']}",
        f"strategy.train_epochs={case['epochs']}",
    ]
    strategy, stream, benchmark = trial(*words)
    weights = prepare(clrun.compose([f"strategy={words[0]}", *words[1:]])).model.state_dict()
    shape, transform = benchmark.shape, benchmark.transform
    data = {"channels": shape.channels, "side": shape.width, "classes": shape.num_classes}
    loop = loop_class(
        {"seed": 0, "data": data, "mean": transform.mean[0], "std": transform.std[0], **case},
        {name: tensor.numpy() for name, tensor in weights.items()},
        [Rows(*(part.numpy() for part in (*e.train, *e.test))) for e in stream],
    )
    for i, experience in enumerate(stream):
        for _ in strategy.learn(experience):
            pass
        loop.learn(i)
    return strategy, loop


def weights_difference(strategy: Any, loop: Any) -> float:
    """The largest difference of two weights, in units of the largest of their tensor."""
    learnt = strategy.state_dict()["model"]
    pairs = [(learnt[name], torch.from_numpy(array)) for name, array in loop.state().items()]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize(
    ("model", "policy", "selection"),
    [
        ("mlp", "experience_balanced", "random"),
        ("mlp", "class_balanced", "random"),
        ("mlp", "reservoir", "random"),
        ("mlp", "class_balanced", "herding"),
        ("mlp", "experience_balanced", "closest_to_center"),
        ("cnn", "class_balanced", "herding"),
    ],
)
def test_replay_learns_what_the_loop_by_hand_learns(
    trial: Callable[..., Any], model: str, policy: str, selection: str
) -> None:
    settings = {"model": model, "storage_policy": policy, "selection": selection}
    words = ["replay", "strategy.mix=add", "strategy.balance=none", "benchmark.limit_per_class=30"]
    words += [f"{group}={option}" for group, option in settings.items()]
    words += [f"strategy.{key}={value}" for key, value in REPLAY.items()]

    strategy, loop = learn_both(
        trial, words, ReplayLoop, {**REPLAY, **settings, "mb": 16, "epochs": 1}
    )

    assert weights_difference(strategy, loop) < 1e-5
    assert Counter(loop.held.y.tolist()) == strategy.memory_rows()["per_class"]


@pytest.mark.parametrize("ewc_lambda", [0.0, 1e6])
def test_ar1_learns_what_the_loop_by_hand_learns(
    trial: Callable[..., Any], ewc_lambda: float
) -> None:
    keys = AR1 | {"ewc_lambda": ewc_lambda}
    words = ["ar1", "model=mobilenet_v1", "strategy.latent_layer=null", "benchmark.image_size=32"]
    words += ["benchmark.limit_per_class=8", "benchmark.n_experiences=2"]
    words += [f"strategy.{key}={value}" for key, value in keys.items()]

    strategy, loop = learn_both(trial, words, AR1Loop, {**keys, "mb": 12, "epochs": 2})

    assert weights_difference(strategy, loop) < 0.01  # normalisation spreads rounding
    assert len(loop.held_y) == strategy.memory_rows()["rows"] == 20
