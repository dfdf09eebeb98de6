"""Everything that can be wrong with a run, found before its folder exists and its data are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

from torch import nn

from clrun.config.bases import component
from clrun.config.foreign import called, explained
from clrun.config.keys import Known
from clrun.config.run_config import Node, RunConfig
from clrun.device import processor
from clrun.device.device import Device
from clrun.errors import ConfigError
from clrun.fast import fastest
from clrun.fast.pointwise import set_products
from clrun.images.download import Progress
from clrun.images.transforms import PixelStatistics
from clrun.metrics import all_metrics
from clrun.models.features import Chooser
from clrun.models.macs import Macs, pattern_macs
from clrun.profiling.seconds import Seconds
from clrun.profiling.spans import phase
from clrun.records.run_folder import require_writable
from clrun.runner.ahead import notes_ahead
from clrun.runner.building import (
    benchmark_source,
    build,
    look_at_model,
    model_of,
    require_learnable,
    stream_of,
)
from clrun.runner.chooser import chosen_network
from clrun.runner.evaluation import Evaluation
from clrun.runner.made_strategy import try_strategy
from clrun.runner.out_of_memory import memory_errors
from clrun.runner.own import OwnBenchmark, with_own
from clrun.runner.sizes import allocated, require_images_fit, require_update_fits
from clrun.strategies.on_latents import learning_part
from clrun.strategies.plugin import Plugin
from clrun.strategies.run_keys import RunKeys
from clrun.streams.experience import Benchmark, BenchmarkSource, StreamShape
from clrun.streams.fingerprint import fingerprint
from clrun.streams.guard import sealed


@dataclass(frozen=True, kw_only=True)
class LoadedStream:
    """A stream that was read once, as far as runs may see it, for several runs of the same one."""

    source: BenchmarkSource
    benchmark: Benchmark
    seconds: Seconds
    """how long reading it took, which is in the cost of each run that has it"""
    fingerprint: str


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
    plugins: tuple[Plugin, ...]
    chooser: Chooser | None = None
    """the network whose features choose exemplars, where that is not the model in training"""
    normalized_for: PixelStatistics | None = None
    """mean and deviation that stand in for the benchmark's own (`benchmark.normalize=model`)"""
    on_progress: Progress | None = None
    """called while something is downloaded"""
    stream: LoadedStream | None = None
    """what was read already; None: the data are read when they are first asked for"""

    @cached_property
    def keys(self) -> RunKeys:
        """What the runner reads of the strategy's keys; it does so after every update."""
        return RunKeys.of(self.config.nodes["strategy"].config)

    @cached_property
    def macs(self) -> Macs:
        """Multiply-accumulates of the model for one pattern."""
        return pattern_macs(self.model, self.image_shape)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of the images."""
        shape = self.benchmark.shape()
        return shape.channels, shape.height, shape.width

    @property
    def pattern_macs(self) -> int:
        """Multiply-accumulates of training on one pattern, forward and backward."""
        return self.macs.training

    @cached_property
    def update_macs(self) -> int:
        """Multiply-accumulates of one update, memory rows that come on top left out."""
        return self.pattern_macs * self.keys.train_mb_size

    @property
    def hardware(self) -> tuple[str, int]:
        """The device's name and the number of CPU threads."""
        return self.device.name, self.device.threads(self.update_macs)

    @property
    def machine(self) -> dict[str, Any]:
        """What the numbers of a run depend on of the machine, for its record."""
        name, threads = self.hardware
        return {
            "device": name,
            "threads": threads,
            "channels_last": self.device.channels_last(self.model),
            "processor": processor.name(),
        }

    @property
    def is_sealed(self) -> bool:
        """Whether a part of the stream must not be opened by this run."""
        root = self.config.root
        return root.first_experiences is not None or self.evaluation.config.stream == "validation"

    @property
    def data(self) -> Benchmark:
        """The stream, read and if need be downloaded.

        Raises:
            ConfigError, DownloadError: data are missing, damaged or too few for what was asked.
        """
        return self._loaded[0]

    @property
    def load_seconds(self) -> Seconds:
        """How long reading the data took."""
        return self._loaded[1]

    @cached_property
    def fingerprint(self) -> str:
        """What tells the data from others."""
        return fingerprint(self.data) if self.stream is None else self.stream.fingerprint

    @cached_property
    def _loaded(self) -> tuple[Benchmark, Seconds]:
        start, before = Seconds.now(), Seconds()
        if self.stream is None:
            with phase("data"):
                benchmark = _read(self.config, self.benchmark, self.on_progress)
        else:
            benchmark, before = self.stream.benchmark, self.stream.seconds
        if self.normalized_for is not None:
            mean, std = self.normalized_for
            transform = replace(benchmark.transform, mean=mean, std=std)
            benchmark = replace(benchmark, transform=transform)
        _refuse_conflicts(
            Known(
                nodes=self.config.nodes,
                experiences=len(benchmark),
                classes=benchmark.shape.num_classes,
                validation=any(e.validation is not None for e in benchmark),
                plugins=self.config.plugins,
                classes_return=_classes_return(benchmark),
            )
        )
        self.evaluation.check(benchmark)
        return benchmark, before.plus(Seconds.now().since(start))


def ready(
    config: RunConfig,
    on_progress: Progress | None = None,
    *,
    benchmark: Benchmark | None = None,
    model: nn.Module | None = None,
    device: Node | None = None,
    stream: LoadedStream | None = None,
) -> Prepared:
    """Prepare a run and read its data, so that what can be wrong is found before it has a folder.

    `stream` is what `load_stream` gave for this benchmark and seed.

    Raises:
        ConfigError, DownloadError: see `prepare` and `Prepared.data`.
    """
    with memory_errors(config, has_started=False):
        prepared = prepare(
            config,
            on_progress,
            own_benchmark=benchmark,
            own_model=model,
            device_node=device,
            stream=stream,
        )
        _ = prepared.data
        require_update_fits(prepared)
        try_strategy(prepared)
    return prepared


def load_stream(config: RunConfig, source: BenchmarkSource | None = None) -> LoadedStream:
    """The stream of a configuration, for every run whose benchmark and seed are the same.

    `source` is what the benchmark gave for another seed; see `read_once`.

    Raises:
        ConfigError, DownloadError: as for one run.
    """
    with memory_errors(config, has_started=False):
        start = Seconds.now()
        source = source or benchmark_source(config.nodes["benchmark"])
        benchmark = _read(config, source, None)
        seconds = Seconds.now().since(start)
        return LoadedStream(
            source=source,
            benchmark=benchmark,
            seconds=seconds,
            fingerprint=fingerprint(benchmark),
        )


def read_once(benchmark: BenchmarkSource) -> None:
    """Let a benchmark of ours read its files once for streams of all seeds, which share rows."""
    source: Any = getattr(benchmark, "source", None)
    if type(source).__module__.startswith("clrun."):
        source.load = cache(partial(_of_given, source.load))


def _of_given(load: Any, root: Any, *, download: bool, on_progress: Any = None) -> Any:
    return load(root, download=download, on_progress=on_progress)


def _read(config: RunConfig, source: BenchmarkSource, on_progress: Progress | None) -> Benchmark:
    """The stream of a configuration, without what its run may not see."""
    node = config.nodes["benchmark"]
    return sealed(
        stream_of(node, source, config.seed, on_progress),
        config.root.first_experiences,
        test=config.nodes["eval"].config.stream == "validation",
        by_data=node.values.get("normalize") in (True, "data"),
    )


def prepare(
    config: RunConfig,
    on_progress: Progress | None = None,
    *,
    own_benchmark: Benchmark | None = None,
    own_model: nn.Module | None = None,
    device_node: Node | None = None,
    stream: LoadedStream | None = None,
) -> Prepared:
    """Build what needs no data. What is one's own takes the place of what is configured.

    `device_node` does too, and is no part of the configuration: where a run that goes on was.

    Raises:
        ConfigError: data are missing or unreadable, the device is not there, a layer is unknown.
    """
    config = with_own(config, own_benchmark, own_model)
    nodes = config.nodes
    _require_given(nodes, own_benchmark, own_model)
    benchmark = stream.source if stream else _benchmark(nodes["benchmark"], own_benchmark)
    device = build(device_node or nodes["device"])
    require_images_fit(config, benchmark.shape())
    model = _model(config, own_model, benchmark.shape(), tricks=device.tricks)
    shape = benchmark.shape()
    chooser = chosen_network(nodes["selection"], model, shape)
    with explained(nodes["strategy"], ".check(...)"):
        component(nodes["strategy"]).check(nodes["strategy"].config, model, shape)
    with explained(nodes["selection"], ".check(...)"):
        learning = learning_part(model, nodes["strategy"].config)
        features_of = learning if chooser is None else chooser.model
        component(nodes["selection"]).check(nodes["selection"].config, features_of)
    _refuse_conflicts(
        replace(
            Known.by_keys(nodes, config.plugins),
            experiences=shape.num_experiences,
            classes=shape.num_classes,
        )
    )
    require_writable("output_root", config.root.output_root)
    for node in config.loggers:
        build(node)  # one whose package is not installed is found now
    all_metrics()  # one of another package that cannot be loaded is found now, not at the end
    prepared = Prepared(
        config=config,
        benchmark=benchmark,
        device=device,
        model=model,
        evaluation=build(nodes["eval"], config.seed),
        storage_policy=build(nodes["storage_policy"]),
        selection=build(nodes["selection"]),
        chooser=chooser,
        normalized_for=_wanted_by_weights(config, model),
        plugins=tuple(build(node) for node in config.plugins),
        on_progress=on_progress,
        stream=stream,
    )
    with allocated(nodes["model"], shape):
        _ = prepared.macs  # now, while nothing has started
    device.settle(model)
    fastest.choose(
        device, model, prepared.image_shape, prepared.keys.train_mb_size, prepared.update_macs
    )
    return prepared


def _require_given(nodes: Mapping[str, Node], *own: object) -> None:
    """Refuse to build what is somebody's own, of which a record has the name alone."""
    for group, given in zip(("benchmark", "model"), own, strict=True):
        if nodes[group].is_own and given is None:
            raise ConfigError(
                f"{group}={nodes[group].option}: was handed over from Python. Go on from there: "
                f"clrun.resume(folder, {group}=...)."
            )


def _benchmark(node: Node, own: Benchmark | None) -> BenchmarkSource:
    return benchmark_source(node) if own is None else OwnBenchmark(own)


def _model(
    config: RunConfig, own: nn.Module | None, shape: StreamShape, *, tricks: bool
) -> nn.Module:
    node = config.nodes["model"]
    if own is None:
        name, model = called(node), model_of(node, shape, config.seed)
    else:
        name, model = "model", own
    set_products(model, tricks=tricks)
    look_at_model(model, node, shape, name, config.seed)
    require_learnable(model, name, config.nodes["strategy"])
    return model


def _wanted_by_weights(config: RunConfig, model: nn.Module) -> PixelStatistics | None:
    """What images are normalised by where that is the model's to say, else None.

    A model says it in `pixel_statistics`, if its weights are such as it knows.
    """
    if config.nodes["benchmark"].values.get("normalize") != "model":
        return None
    found: PixelStatistics | None = getattr(model, "pixel_statistics", None)
    if found is None:
        values = config.nodes["model"].values
        raise ConfigError(
            "benchmark.normalize=model: which mean and deviation the weights of "
            f"model.pretrained={values.get('pretrained')} want is not known. "
            "Use benchmark.normalize=data."
        )
    return found


def all_notes(prepared: Prepared) -> list[str]:
    """What is valid and yet worth a line before the run."""
    config, stream = prepared.config, prepared.data
    on_data = (*stream.notes, *weights_note(prepared), *notes_ahead(config, stream, prepared.model))
    return [*config.notes, *notes(config), *prepared.device.notes(), *on_data]


def weights_note(prepared: Prepared) -> list[str]:
    """What was not taken of pretrained weights, and that they meet images that are normalised in
    another way."""
    left_out = getattr(prepared.model, "weights_note", None)
    found = [f"model.pretrained: {left_out}"] if isinstance(left_out, str) else []
    wanted = getattr(prepared.model, "pixel_statistics", None)
    given = prepared.config.nodes["benchmark"].values.get("normalize")
    transform = prepared.data.transform
    if wanted is None or given not in (True, "data") or (transform.mean, transform.std) == wanted:
        return found
    said = "true" if given is True else given
    return [
        *found,
        f"benchmark.normalize={said}: images have their own mean and deviation, and the pretrained "
        "weights were trained with others. benchmark.normalize=model takes those.",
    ]


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


def _classes_return(benchmark: Benchmark) -> bool:
    """Whether a class occurs in more than one experience."""
    counts = Counter(c for experience in benchmark for c in experience.classes)
    return any(count > 1 for count in counts.values())


def _refuse_conflicts(known: Known) -> None:
    """Ask every part again, now that more is known than the keys."""
    problems = known.conflicts()
    if problems:
        raise ConfigError(problems)
