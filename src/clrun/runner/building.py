"""The parts of a run, made from their nodes; those that are a user's are looked at first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from clrun.config.bases import component
from clrun.config.foreign import called, explained, in_a_line, require_members
from clrun.config.run_config import Node
from clrun.errors import ClrunError, ConfigError
from clrun.images.download import Progress
from clrun.loggers.logger import Logger
from clrun.models.probe import IMAGES, outputs, require_logits, require_module
from clrun.profiling.spans import span
from clrun.runner.sizes import allocated, weights_fit
from clrun.seeds import isolated
from clrun.sources.source import Source
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.plugin import Plugin
from clrun.streams.experience import Benchmark, BenchmarkSource, StreamShape
from clrun.streams.sound import require_shape, require_sound

PROTOCOLS: Mapping[str, type] = {
    "logger": Logger,
    "benchmark": BenchmarkSource,
    "benchmark.source": Source,
    "plugin": Plugin,
}
"""What a part must have itself; for other groups a base class fills in what is missing."""


def build(node: Node, *runtime: Any) -> Any:
    """The component a node describes: its class, called with its `Config`, its parts and what else
    it needs.

    Raises:
        ConfigError: there is no such class, or it lacks what every part of its group has.
    """
    with span("import components"):  # of torchvision's models, for one, seconds
        cls = component(node)
    parts = [build(part) for part in node.parts.values()]
    with explained(node, "(...)"):
        made = cls(cls.Config(**vars(node.config)), *parts, *runtime)
    if node.group in PROTOCOLS:
        require_members(node, made, PROTOCOLS[node.group])
    return made


def benchmark_source(node: Node) -> BenchmarkSource:
    """The benchmark of a node, before its data are read.

    Raises:
        ConfigError: its files are missing or malformed, or a user's says no sizes.
    """
    source: BenchmarkSource = build(node)
    with explained(node, ".shape()"):
        shape = source.shape()
    require_shape(shape, called(node))
    with explained(node, ".check()"):
        source.check()
    return source


def stream_of(
    node: Node, source: BenchmarkSource, seed: int, on_progress: Progress | None
) -> Benchmark:
    """The stream of a benchmark, read and looked through.

    Raises:
        ConfigError, DownloadError: see `BenchmarkSource.load`; also ConfigError for a stream that
            is not as `Benchmark` describes it.
    """
    with explained(node, ".load(...)"):
        stream = source.load(seed, on_progress)
    require_sound(stream, source.shape(), called(node))
    return stream


def model_of(node: Node, shape: StreamShape, seed: int) -> nn.Module:
    """The model of a node for images and classes of this shape, with its initial weights.

    Raises:
        ConfigError: it cannot be made, or is no torch.nn.Module.
    """
    with isolated(seed, "weights"), allocated(node, shape), weights_fit(node, shape):
        return require_module(build(node, shape), called(node))


def look_at_model(model: nn.Module, node: Node, shape: StreamShape, name: str, seed: int) -> None:
    """Refuse a model that is none for images and classes of this shape; nothing of it changes.

    Raises:
        ConfigError: it fails, gives something else than logits, or gives them no gradient.
    """
    image_shape = (shape.channels, shape.height, shape.width)
    for training in (False, True):
        mode = " in training mode" if training else ""
        try:
            with isolated(seed, "probe"), allocated(node, shape):
                output = outputs(model, image_shape, training=training)
        except ClrunError:
            raise
        except Exception as error:
            line = f"{name}: fails on images {[IMAGES, *image_shape]}{mode}: {in_a_line(error)}"
            raise ConfigError(line) from error
        require_logits(output, shape.num_classes, name, mode)
    if any(p.requires_grad for p in model.parameters()) and not output.requires_grad:
        raise ConfigError(
            f"{name}: its logits have no gradient, though it has parameters to learn. Is there a "
            "detach() or torch.no_grad() in its forward?"
        )


def require_learnable(model: nn.Module, name: str, strategy: Node) -> None:
    """Refuse a model that is frozen as a whole, where the strategy has the keys of descent.

    Raises:
        ConfigError: no parameter requires a gradient.
    """
    if not isinstance(strategy.config, DescentKeys):
        return
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            f"{name}: no parameter of it requires a gradient, and {called(strategy)} learns by "
            "gradients. Leave some of them with requires_grad=True."
        )
