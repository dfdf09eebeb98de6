"""The strategy of a run with its parts; one of a user's is made once to see whether it can be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clrun.models.copies import copy_of
from clrun.runner.building import build
from clrun.seeds import isolated
from clrun.strategies.shared_latents import SharedLatents
from clrun.strategies.strategy import Parts, Strategy

if TYPE_CHECKING:
    from clrun.runner.prepare import Prepared


def made_strategy(prepared: Prepared, latents: SharedLatents | None = None) -> Strategy:
    """The strategy with its parts, on the run's device; `latents` are shared with other runs.

    Raises:
        ConfigError: it is a user's, and cannot be made of them.
    """
    benchmark, device, chooser = prepared.data, prepared.device, prepared.chooser
    parts = Parts(
        model=device.place(prepared.model),
        transform=benchmark.transform,
        device=device,
        seed=prepared.config.seed,
        num_classes=benchmark.shape.num_classes,
        storage_policy=prepared.storage_policy,
        selection=prepared.selection,
        plugins=prepared.plugins,
        chooser=chooser and chooser._replace(model=device.place(chooser.model)),
        pattern_macs=prepared.pattern_macs,
        image_shape=prepared.image_shape,
        latents=latents,
    )
    return build(prepared.config.nodes["strategy"], parts)


def try_strategy(prepared: Prepared) -> None:
    """Make a strategy of a user's of copies of its parts, so that a mistake is found in time.

    Raises:
        ConfigError: it cannot be made.
    """
    config = prepared.config
    if config.nodes["strategy"].target.startswith("clrun."):
        return
    plugins = tuple(build(node) for node in config.plugins)
    with isolated(config.seed, "probe"):
        made_strategy(replace(prepared, model=copy_of(prepared.model), plugins=plugins))
