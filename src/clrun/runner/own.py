"""A benchmark or a model of one's own, from Python, where the configuration names another."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from clrun.config.keys import Keys
from clrun.config.run_config import Node, RunConfig
from clrun.errors import ConfigError
from clrun.images.download import Progress
from clrun.models.probe import require_module
from clrun.streams.experience import Benchmark, StreamShape
from clrun.streams.fingerprint import fingerprint
from clrun.streams.sound import require_shape, require_sound


class OwnBenchmark:
    """A benchmark that is there already, in place of a component that loads one."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark

    def shape(self) -> StreamShape:
        return self.benchmark.shape

    def check(self) -> None:
        """Nothing is missing."""

    def load(self, seed: int, on_progress: Progress | None = None) -> Benchmark:
        return self.benchmark


def with_own(config: RunConfig, benchmark: Benchmark | None, model: nn.Module | None) -> RunConfig:
    """The configuration that says whose content the run is about, so that its hash does too.

    Raises:
        ConfigError: the benchmark or the model is not what it must be, or the run is scored on
            validation rows and the benchmark has none.
    """
    nodes = dict(config.nodes)
    if benchmark is not None:
        _require_sound(benchmark)
        _require_scored_rows(benchmark, str(nodes["eval"].values.get("stream")))
        nodes["benchmark"] = _node(
            "benchmark", benchmark.name, type(benchmark), fingerprint(benchmark)
        )
    if model is not None:
        require_module(model, "model")
        nodes["model"] = _node("model", type(model).__name__, type(model), _weights(model))
    return replace(config, nodes=nodes)


def is_own(node: Node) -> bool:
    """Whether a node stands for what was given from Python."""
    return type(node.config) is Keys and "content" in node.values


def _require_sound(benchmark: object) -> None:
    if not isinstance(benchmark, Benchmark):
        raise ConfigError(
            f"benchmark: is a {type(benchmark).__name__}. It must be a Benchmark, e.g. what "
            "Benchmark.of_arrays gives (clrun.streams.experience)."
        )
    require_shape(benchmark.shape, "benchmark")
    require_sound(benchmark, benchmark.shape, "benchmark")


def _require_scored_rows(benchmark: Benchmark, stream: str) -> None:
    if stream == "validation" and any(e.validation is None for e in benchmark):
        raise ConfigError("eval.stream=validation: the benchmark has no such rows. Use test.")


def _node(group: str, name: str, kind: type, content: str) -> Node:
    """What stands in the records for what cannot be composed again."""
    values: dict[str, Any] = {"content": content}
    target = f"{kind.__module__}:{kind.__qualname__}"
    return Node(group=group, option=name, target=target, values=values, config=Keys(), is_own=True)


def _weights(model: nn.Module) -> str:
    """Hex digits that change with any weight of the model."""
    digest = hashlib.sha256()
    state: dict[str, Any] = model.state_dict()
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()[:16]
