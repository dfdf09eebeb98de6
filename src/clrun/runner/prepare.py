"""Everything that can be wrong with a run, found before its folder exists and its data are read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from clrun.config.component import component
from clrun.config.rules import too_many_experiences
from clrun.config.run_config import Node, RunConfig
from clrun.device.device import Device
from clrun.errors import ConfigError
from clrun.fast import fastest
from clrun.fast.pointwise import set_products
from clrun.images.download import Progress
from clrun.metrics import all_metrics
from clrun.models.features import require_layer
from clrun.models.macs import training_macs
from clrun.profiling.spans import phase, span
from clrun.runner.evaluation import Evaluation
from clrun.seeds import isolated
from clrun.strategies.run_keys import RunKeys
from clrun.streams.experience import Benchmark, BenchmarkSource, StreamShape


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run whose every part was built and checked; its data are read when first asked for."""

    config: RunConfig
    benchmark: BenchmarkSource
    device: Device
    model: nn.Module
    evaluation: Evaluation
    storage_policy: Any
    selection: Any
    on_progress: Progress | None = None
    """told of downloads"""

    @property
    def keys(self) -> RunKeys:
        """What the runner reads of the strategy's keys."""
        return RunKeys.of(self.config.nodes["strategy"].config)

    @cached_property
    def pattern_macs(self) -> int:
        """Multiply-accumulates of training on one pattern, forward and backward."""
        shape = self.benchmark.shape()
        return training_macs(self.model, (shape.channels, shape.height, shape.width))

    @cached_property
    def update_macs(self) -> int:
        """Multiply-accumulates of one update, memory rows that come on top left out."""
        return self.pattern_macs * self.keys.train_mb_size

    @property
    def hardware(self) -> tuple[str, int]:
        """The device's name and the number of CPU threads."""
        return self.device.name, self.device.threads(self.update_macs)

    @property
    def data(self) -> Benchmark:
        """The stream, read and if need be downloaded.

        Raises:
            ConfigError, DownloadError: data are missing, damaged or too few for what was asked.
        """
        return self._loaded[0]

    @property
    def load_seconds(self) -> float:
        """How long reading the data took."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[Benchmark, float]:
        start = time.perf_counter()
        with phase("data"):
            benchmark = self.benchmark.load(self.config.seed, self.on_progress)
        _require_room_for_experiences(self.config.nodes, len(benchmark))
        return benchmark, time.perf_counter() - start


def prepare(config: RunConfig, on_progress: Progress | None = None) -> Prepared:
    """Build what needs no data.

    Raises:
        ConfigError: data are missing or unreadable, the device is not there, a layer is unknown.
    """
    nodes = config.nodes
    benchmark: BenchmarkSource = build(nodes["benchmark"])
    benchmark.check()
    device = build(nodes["device"])
    with isolated(config.seed, "weights"):
        model = build(nodes["model"], benchmark.shape())
    set_products(model, tricks=device.tricks)
    layer = nodes["selection"].values.get("layer_name")
    if layer is not None:
        require_layer(model, layer, key="selection.layer_name")
    component(nodes["strategy"]).check(nodes["strategy"].config, model, benchmark.shape())
    _require_room_for_classes(nodes, benchmark.shape())
    _require_room_for_experiences(nodes, benchmark.shape().num_experiences)
    _require_writable(config.root.output_root)
    all_metrics()  # one of another package that cannot be loaded is found now, not at the end
    prepared = Prepared(
        config=config,
        benchmark=benchmark,
        device=device,
        model=model,
        evaluation=build(nodes["eval"]),
        storage_policy=build(nodes["storage_policy"]),
        selection=build(nodes["selection"]),
        on_progress=on_progress,
    )
    _ = prepared.pattern_macs  # one pass of two images: the model takes images of this size
    shape, minibatch = benchmark.shape(), prepared.keys.train_mb_size
    image_shape = (shape.channels, shape.height, shape.width)
    device.settle(model)
    fastest.choose(device, model, image_shape, minibatch, prepared.update_macs)
    return prepared


def build(node: Node, *runtime: Any) -> Any:
    """The component a node describes: its class, called with its `Config`, its parts and what else
    it needs."""
    with span("import components"):  # of torchvision's models, for one, seconds
        cls = component(node)
    parts = [build(part) for part in node.parts.values()]
    return cls(cls.Config(**vars(node.config)), *parts, *runtime)


def notes(config: RunConfig) -> list[str]:
    """Overrides that are valid and have no effect here: worth a line, not an error."""
    strategy = component(config.nodes["strategy"])
    if strategy.uses_memory:
        return []
    named = {
        override.lstrip("+").partition("=")[0].partition(".")[0] for override in config.overrides
    }
    unused = [group for group in ("storage_policy", "selection") if group in named]
    name = config.nodes["strategy"].option
    return [f"strategy={name} keeps no memory: {group} has no effect." for group in unused]


def _require_room_for_classes(nodes: Mapping[str, Node], shape: StreamShape) -> None:
    """What is shared equally among classes must do for all of them; only the benchmark knows how
    many there are."""
    strategy, classes = nodes["strategy"].values, shape.num_classes
    total = nodes["storage_policy"].values.get("total_num_classes")
    if "mem_size" in strategy and total is not None and total < classes:
        raise ConfigError(
            f"storage_policy.total_num_classes={total}: the benchmark has {classes}. "
            f"Use at least {classes}, or storage_policy.adaptive_size=true."
        )
    shares = strategy.get("mix") == "split" and strategy.get("balance") == "class"
    by_epoch = strategy.get("memory_update") == "experience" and shape.num_experiences > 1
    size = strategy.get("train_mb_size", classes)
    if shares and by_epoch and strategy.get("memory_mb_size") is None and size < classes:
        raise ConfigError(
            f"strategy.train_mb_size={size}: fewer rows than the {classes} classes that share a "
            f"minibatch. Use at least {classes}, strategy.balance=none, or strategy.mix=add."
        )


def _require_room_for_experiences(nodes: Mapping[str, Node], count: int) -> None:
    """The same of experiences. Of an online stream only its data know how many there are."""
    problems = too_many_experiences(nodes, count)
    if problems:
        raise ConfigError("\n".join(problems))


def _require_writable(output_root: str) -> None:
    """The first folder that exists on the way to `output_root` must be a writable folder."""
    path = os.path.abspath(output_root)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise ConfigError(f"output_root={output_root}: {path} is a file. Name a folder.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"output_root={output_root}: {path} is not writable.")
