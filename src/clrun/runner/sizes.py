"""Models and images that cannot fit into this machine, refused with the size they take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from clrun.config.run_config import Node, RunConfig
from clrun.device.memory import in_gb, require_memory
from clrun.errors import ConfigError
from clrun.streams.experience import StreamShape

FLOAT_BYTES = 4


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
