"""How many updates a run will make, asked of its strategy before anything is learnt."""

from __future__ import annotations

from collections.abc import Sequence

import torch

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
    strategy = component(node)
    labels = [experience.train.y for experience in stream]
    ahead = Ahead(
        labels=[torch.cat(labels)] if strategy.whole_stream else labels,
        image_shape=(shape.channels, shape.height, shape.width),
        seed=config.seed,
        storage_policy=build(config.nodes["storage_policy"]),
        model=lambda: build(config.nodes["model"], shape),
    )
    return expected_updates(strategy, node.config, ahead)
