"""A key of Hydra's own node, with what its interpolations mean there."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clrun.config.composing import composing
from clrun.errors import ConfigError


def resolved(tree: DictConfig, key: str) -> str | None:
    """The text of a key of Hydra's node, with what its interpolations mean there.

    Raises:
        ConfigError: they mean nothing.
    """
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(tree)  # its value may contain ${hydra:...}
    try:
        with composing():
            value = OmegaConf.select(tree, key)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {str(error).splitlines()[0].rstrip('.')}.") from None
    finally:
        HydraConfig.instance().cfg = before
        OmegaConf.set_readonly(tree.hydra, None)  # which it has become
    return None if value is None else str(value)
