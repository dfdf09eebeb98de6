"""A bare Hydra app: what starting one costs."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None)
def main(config: DictConfig) -> None:
    """Do nothing."""


if __name__ == "__main__":
    main()
