"""A trained model scored on data: those of its run again, or others with the same classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clrun.config.nodes import read_node
from clrun.config.run_config import Node
from clrun.device.rows import Rows
from clrun.errors import ClrunError, ConfigError
from clrun.images.download import Progress
from clrun.images.files import some
from clrun.images.patterns import Patterns, joined_patterns
from clrun.metrics import Undefined, acc_final, acc_pooled
from clrun.metrics.task_aware import PREFIX
from clrun.runner.building import benchmark_source, build, stream_of
from clrun.runner.evaluation import Evaluation
from clrun.runner.loading import TrainedModel, node_of
from clrun.runner.packs import Feed
from clrun.runner.scores import Scores
from clrun.sources.class_names import composed
from clrun.streams.experience import Benchmark, Experience
from clrun.streams.guard import sealed

GROUP = "benchmark"
EVALUATION = "clrun.runner.evaluation:Evaluation"
EVERY_TEST_ROW = {
    "stream": "test",
    "experiences": "all",
    "initial": False,
    "limit_per_experience": None,
}


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What a model knows of some data; None where there was nothing to score it on."""

    label: str
    """of the run"""
    data: str
    class_names: list[str]
    class_rows: list[int]
    class_accuracy: list[float | None]
    experience_rows: list[int]
    experience_accuracy: list[float | None]
    metrics: dict[str, float | None]
    """by the names that results.json has for them"""


def evaluated(
    trained: TrainedModel,
    node: Node,
    *,
    as_the_run: bool,
    every_row: bool = False,
    on_progress: Progress | None = None,
) -> Evaluated:
    """The accuracies of a model on the test rows of a benchmark, or on every row.

    `as_the_run` takes the rows that the run was scored on.

    Raises:
        ConfigError: data are missing, of another size, or of classes that the model does not know.
    """
    source = benchmark_source(node)
    require_images(trained, source.shape(), node)
    stream = stream_of(node, source, trained.facts.seed, on_progress)
    benchmark = numbered(stream, trained.class_names, node)
    keys = trained.facts.evaluation if as_the_run else EVERY_TEST_ROW
    if as_the_run and not every_row:
        benchmark = sealed(benchmark, trained.facts.first_experiences, test=False)
    if every_row:
        benchmark, keys = with_every_row(benchmark), EVERY_TEST_ROW
    evaluation = _evaluation(keys)
    scores = scores_on(trained, benchmark, evaluation)
    y = [evaluation.rows(experience).y for experience in benchmark]
    sizes = [len(labels) for labels in y]
    return Evaluated(
        label=trained.facts.label,
        data=benchmark.name,
        class_names=list(trained.class_names),
        class_rows=torch.cat(y).bincount(minlength=len(trained.class_names)).tolist(),
        class_accuracy=scores.classes,
        experience_rows=sizes,
        experience_accuracy=scores.experiences,
        metrics=_metrics(scores, sizes) | _task_aware(scores, sizes),
    )


def scored_images(trained: TrainedModel, most: int) -> Tensor | None:
    """Some of the images that the run was scored on, of each experience; None where its data are
    not on this machine. Nothing is downloaded. [N, C, H, W] uint8"""
    facts = trained.facts
    if facts.is_own_benchmark:
        return None
    part = facts.benchmark
    if "download" in part.values:
        part = replace(part, values={**part.values, "download": False})
    try:
        node = node_of(GROUP, part, str(trained.path), trust=False)
        benchmark = stream_of(node, benchmark_source(node), facts.seed, None)
    except ClrunError:
        return None
    kept = sealed(benchmark, facts.first_experiences, test=False)
    evaluation = _evaluation(facts.evaluation)
    each = -(-most // len(kept))
    rows = [_spread(evaluation.rows(experience).x, each) for experience in kept]
    found = torch.cat(rows)[:most]
    return found if tuple(found.shape[1:]) == trained.image_shape else None


def _spread(x: Rows, count: int) -> Tensor:
    """So many rows, evenly spaced, or all of fewer."""
    places = torch.linspace(0, max(len(x) - 1, 0), min(count, len(x))).long()
    return x.index_select(0, places)


def _task_aware(scores: Scores, sizes: list[int]) -> dict[str, float | None]:
    """The same with task ids, where the run was scored with them."""
    if scores.task_aware is None:
        return {}
    return {f"{PREFIX}{k}": v for k, v in _metrics(scores.task_aware, sizes).items()}


def _metrics(scores: Scores, sizes: list[int]) -> dict[str, float | None]:
    accuracy = np.array([scores.experiences], dtype=np.float64)  # None becomes NaN
    found: dict[str, float | None] = {}
    for name, value in (
        ("acc_final", lambda: acc_final(accuracy)),
        ("acc_pooled", lambda: acc_pooled(accuracy, sizes)),
    ):
        try:
            found[name] = value()
        except Undefined:
            found[name] = None
    return found


def scores_on(trained: TrainedModel, benchmark: Benchmark, evaluation: Evaluation) -> Scores:
    """Accuracies of the model on a benchmark whose classes have its numbers.

    On the stream of its run they are the last ones that the run reported.
    """
    with trained.device.applied(trained.update_macs):
        return evaluation.scores(
            trained.answers,
            benchmark,
            seen=len(benchmark),
            feed=Feed(minibatch=trained.facts.eval_mb_size, hold=trained.device.hold),
        )


def require_images(trained: TrainedModel, shape: Any, node: Node) -> None:
    """Refuse images of another size than the model takes.

    Raises:
        ConfigError: with both sizes, and the key that changes them where there is one.
    """
    channels, height, width = trained.image_shape
    if (shape.channels, shape.height, shape.width) == trained.image_shape:
        return
    ways = []
    if shape.channels != channels and "channels" in node.values:
        ways.append(f"benchmark.channels={channels}")
    if height == width and "image_size" in node.values:
        ways.append(f"benchmark.image_size={height}")
    way_out = f"Use {' '.join(ways)}." if ways and shape.channels == channels else ""
    raise ConfigError(
        f"benchmark={node.option}: images are {shape.channels}x{shape.height}x{shape.width} "
        f"(channels, height, width), and the model of {trained.facts.label} takes "
        f"{channels}x{height}x{width}. {way_out or 'Use other data.'}"
    )


def numbered(benchmark: Benchmark, names: tuple[str, ...], node: Node) -> Benchmark:
    """The benchmark with the classes numbered as a model numbers them; it may lack some.

    Raises:
        ConfigError: it has classes that the model does not know.
    """
    number = {composed(name): k for k, name in enumerate(names)}
    unknown = [name for name in benchmark.class_names if composed(name) not in number]
    if unknown:
        count = f"{len(unknown)} of the {len(benchmark.class_names)} classes"
        raise ConfigError(
            f"benchmark={node.option}: the model does not know {count}: {some(unknown)}. "
            f"It knows {some(names)}. Give the data's classes the names of the model's."
        )
    ours = torch.tensor([number[composed(name)] for name in benchmark.class_names])
    return replace(
        benchmark,
        shape=replace(benchmark.shape, num_classes=len(names)),
        class_names=names,
        experiences=[_numbered(experience, ours) for experience in benchmark],
    )


def _numbered(experience: Experience, ours: Tensor) -> Experience:
    def part(patterns: Patterns) -> Patterns:
        return Patterns(patterns.x, ours[patterns.y])

    held_out = experience.validation
    return replace(
        experience,
        classes=tuple(sorted(int(ours[label]) for label in experience.classes)),
        train=part(experience.train),
        test=part(experience.test),
        validation=None if held_out is None else part(held_out),
    )


def with_every_row(benchmark: Benchmark) -> Benchmark:
    """The benchmark with all rows of each experience to test on."""
    experiences = []
    for experience in benchmark:
        parts = [experience.train, experience.validation, experience.test]
        every = joined_patterns([part for part in parts if part is not None])
        experiences.append(replace(experience, test=every))
    return replace(benchmark, experiences=experiences)


def _evaluation(keys: Mapping[str, Any]) -> Evaluation:
    node, problems = read_node("eval", "full", EVALUATION, keys)
    if node is None:
        raise ConfigError(problems[0])
    made: Evaluation = build(node)
    return made
