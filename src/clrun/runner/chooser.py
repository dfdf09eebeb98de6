"""The network whose features choose exemplars, where `selection.model` names another one."""

from __future__ import annotations

from torch import nn

from clrun.config.run_config import Node
from clrun.config.trust import trust_now
from clrun.errors import ConfigError
from clrun.memory.feature_keys import FeatureKeys
from clrun.models.copies import copy_of
from clrun.models.features import Chooser
from clrun.models.weights import remember_origin
from clrun.runner.loading import load
from clrun.streams.experience import StreamShape


def chosen_network(selection: Node, model: nn.Module, shape: StreamShape) -> Chooser | None:
    """The model as it begins, or that of a finished run; None for the model in training.

    Raises:
        ConfigError: there is no such model, or it takes images of another size.
    """
    keys = selection.config
    if not isinstance(keys, FeatureKeys) or keys.model == "current":
        return None
    if keys.model == "initial":
        return Chooser(copy_of(model).requires_grad_(False))
    try:
        trained = load(keys.model, device="cpu", trust=trust_now().everything)
    except ConfigError as error:
        raise ConfigError(f"selection.model={error}") from error
    image_shape = (shape.channels, shape.height, shape.width)
    if trained.image_shape != image_shape:
        raise ConfigError(
            f"selection.model={keys.model}: its model takes images {list(trained.image_shape)}, "
            f"and the benchmark has {list(image_shape)}. Name a run on images of that size."
        )
    remember_origin(trained.model, trained.path, trained.facts.sha256)
    return Chooser(trained.model.requires_grad_(False), trained.transform)
