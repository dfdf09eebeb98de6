"""Models and images that cannot fit into this machine, refused with the size they take."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from clrun.config.run_config import Node, RunConfig
from clrun.device.memory import in_gb, physical_bytes, require_memory
from clrun.errors import ConfigError
from clrun.models.budget import budget
from clrun.models.footprint import saved_bytes
from clrun.runner.out_of_memory import lowerable
from clrun.streams.experience import StreamShape

if TYPE_CHECKING:
    from clrun.runner.prepare import Prepared

FLOAT_BYTES = 4
SURELY_KEPT = 2000
"""Numbers that a network keeps for the gradient of each of an image, at most: of less memory than
that takes nobody asks more exactly."""


def require_images_fit(config: RunConfig, shape: StreamShape) -> None:
    """Refuse images of which not even two, the fewest to learn from, fit as numbers.

    Raises:
        ConfigError: they are too large.
    """
    side = config.nodes["benchmark"].values.get("image_size")
    require_memory(
        2 * shape.channels * shape.height * shape.width * FLOAT_BYTES,
        f"benchmark.image_size={side}: two images of {shape.width}x{shape.height}",
        "Use a smaller size.",
    )


def require_update_fits(prepared: Prepared) -> None:
    """Refuse minibatches whose gradient needs more memory than there is, before anything starts.

    What is counted is the least: weights, their gradients, and what the forward pass keeps. Where a
    strategy freezes layers, which keep nothing, it is not known.

    Raises:
        ConfigError: they are too large.
    """
    config, shape = prepared.config, prepared.benchmark.shape()
    image = (shape.channels, shape.height, shape.width)
    rows = min(prepared.keys.train_mb_size, max(len(e.train.y) for e in prepared.data))
    weights = sum(p.nbytes * (1 + p.requires_grad) for p in prepared.model.parameters())
    there = _device_bytes(prepared.device.torch)
    most = rows * math.prod(image) * FLOAT_BYTES * SURELY_KEPT
    keys = config.nodes["strategy"].config
    freezes = hasattr(keys, "freeze_below_layer") or getattr(keys, "latent_layer", None) is not None
    if there is None or freezes or weights + most < there:
        return
    try:
        kept = saved_bytes(prepared.model, image)
    except Exception:  # a model that looks at values: then it is tried
        return
    if prepared.device.config.precision != "fp32":
        kept //= 2
    require_memory(
        weights + rows * kept,
        f"strategy.train_mb_size={prepared.keys.train_mb_size}: one update with {rows} images of "
        f"{shape.width}x{shape.height}",
        f"Lower one of {', '.join(lowerable(config))}.",
        there,
    )


def _device_bytes(device: torch.device) -> int | None:
    """The memory of the device that computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return physical_bytes()


@contextmanager
def weights_fit(model: Node, shape: StreamShape) -> Iterator[None]:
    """Refuse a model that is made inside before it takes the memory of its gradients too.

    Raises:
        ConfigError: both together take more than there is.
    """
    there = physical_bytes()

    def refuse(needed: int) -> ConfigError:
        return ConfigError(
            f"model={model.option}: with images of {shape.width}x{shape.height} and "
            f"{shape.num_classes} classes its weights and their gradients take at least "
            f"{in_gb(2 * needed)}, and this machine has {in_gb(there or 0)}. Use smaller images "
            "(benchmark.image_size), or a smaller model."
        )

    with nullcontext() if there is None else budget(there // 2, refuse):
        yield


@contextmanager
def allocated(model: Node, shape: StreamShape) -> Iterator[None]:
    """Say that the model is too large where PyTorch has no memory for it.

    Raises:
        ConfigError: a tensor inside could not be allocated.
    """
    try:
        yield
    except (RuntimeError, OverflowError, TypeError) as error:
        found = re.search(r"allocate (\d+) bytes|[Oo]verflow|not enough memory", str(error))
        if found is None:
            raise
        size = in_gb(int(found[1])) if found[1] else "more bytes than can be counted"
        raise ConfigError(
            f"model={model.option}: with images of {shape.width}x{shape.height} and "
            f"{shape.num_classes} classes one tensor of it takes {size}, which this machine does "
            f"not have. Use smaller images (benchmark.image_size), or a smaller model."
        ) from error
