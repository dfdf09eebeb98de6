"""What a strategy says of a run before it learns: its updates, and what is worth a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from clrun.config.bases import component
from clrun.config.run_config import RunConfig
from clrun.runner.building import build
from clrun.strategies.strategy import Ahead, expected_updates
from clrun.streams.experience import Benchmark


def updates_ahead(config: RunConfig, stream: Benchmark) -> Sequence[int] | None:
    """The updates of each experience that the strategy learns; None where it does not say.

    Raises:
        ConfigError: minibatches cannot be made up as the keys have it.
    """
    node, shape = config.nodes["strategy"], stream.shape
    ahead = _ahead(config, stream, lambda: build(config.nodes["model"], shape))
    return expected_updates(component(node), node.config, ahead)


def notes_ahead(config: RunConfig, stream: Benchmark, model: nn.Module) -> Iterable[str]:
    """What the strategy has to say of this stream and model; both stay as they are."""
    node = config.nodes["strategy"]
    notes: Iterable[str] = component(node).notes(node.config, _ahead(config, stream, lambda: model))
    return notes


def _ahead(config: RunConfig, stream: Benchmark, model: Callable[[], nn.Module]) -> Ahead:
    shape = stream.shape
    labels = [experience.train.y for experience in stream]
    whole_stream = component(config.nodes["strategy"]).whole_stream
    return Ahead(
        labels=[torch.cat(labels)] if whole_stream else labels,
        image_shape=(shape.channels, shape.height, shape.width),
        seed=config.seed,
        storage_policy=build(config.nodes["storage_policy"]),
        model=model,
        augment=stream.transform.augment,
    )
