"""What a preview shows of a stream, as numbers; how they look is for the table and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clrun.config.run_config import RunConfig
from clrun.memory.counts import counts
from clrun.preview.sizes import Sizes, sizes
from clrun.preview.updates import Updates, expected_updates
from clrun.streams.experience import Benchmark, Experience, StreamShape

SAID_ELSEWHERE = ("benchmark.scenario", "benchmark.data_root", "benchmark.download")
"""Keys that the title of a preview has already, or that say nothing of the stream."""


@dataclass(frozen=True, kw_only=True)
class ExperienceFacts:
    """One experience in numbers."""

    index: int
    train: int
    test: int
    validation: int | None
    """None where nothing is held out"""
    classes: dict[int, int]
    """class -> its training rows, by class"""
    test_classes: dict[int, int]
    new_classes: tuple[int, ...]
    """classes that no earlier experience had"""
    bytes: int
    """bytes of its training images"""
    steps: int | None
    """updates the strategy would make; None where it is not known, or learns the stream at once"""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A stream in numbers, and how long the chosen strategy would learn from it."""

    benchmark: str
    scenario: str | None
    """None for a benchmark that has no such key"""
    said: tuple[str, ...]
    """what else was typed of the stream, as `benchmark.blur=0.2`"""
    strategy: str
    seed: int
    epochs: int | None
    """None for a strategy that has no such key, or counts updates"""
    minibatch: int | None
    stream: Benchmark
    sizes: Sizes
    updates: Updates
    experiences: tuple[ExperienceFacts, ...]

    @property
    def title(self) -> str:
        """What the stream is called on the command line."""
        scenario = [f"benchmark.scenario={self.scenario}"] if self.scenario else []
        return " ".join([f"benchmark={self.benchmark}", *scenario, *self.said, f"seed={self.seed}"])

    @property
    def shape(self) -> StreamShape:
        return self.stream.shape

    @property
    def train(self) -> int:
        """Training rows, over all experiences."""
        return sum(experience.train for experience in self.experiences)

    @property
    def validation(self) -> int | None:
        """Rows held out, over all experiences; None where there are none."""
        held_out = [e.validation for e in self.experiences if e.validation is not None]
        return sum(held_out) if held_out else None

    @property
    def test(self) -> int:
        """Test rows, over all experiences; a test set that several share counts once."""
        tests = {id(experience.test.x): experience.test for experience in self.stream}
        return sum(len(test.y) for test in tests.values())

    def counts(self) -> Tensor:
        """Training rows of each class in each experience. [experiences, classes] int64"""
        found = torch.zeros(len(self.experiences), self.shape.num_classes, dtype=torch.int64)
        for experience in self.experiences:
            labels = torch.tensor(list(experience.classes), dtype=torch.int64)
            found[experience.index, labels] = torch.tensor(list(experience.classes.values()))
        return found

    def as_dict(self) -> dict[str, Any]:
        """What `clrun preview --json` prints."""
        shape, updates = self.shape, self.updates
        return {
            "benchmark": self.benchmark,
            "scenario": self.scenario,
            "seed": self.seed,
            "num_classes": shape.num_classes,
            "class_names": list(self.stream.class_names),
            "image_shape": [shape.channels, shape.height, shape.width],
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "bytes": self.sizes._asdict(),
            "notes": list(self.stream.notes),
            "damaged_files": self.stream.damaged_files,
            "strategy": self.strategy,
            "train_epochs": self.epochs,
            "train_mb_size": self.minibatch,
            "steps": updates.total,
            "steps_note": updates.note,
            "experiences": [vars(experience) for experience in self.experiences],
        }


def preview(config: RunConfig, stream: Benchmark) -> Preview:
    """Count what is in a stream and what a strategy would do with it; trains nothing."""
    keys = config.nodes["strategy"].values
    updates = expected_updates(config, stream)
    return Preview(
        benchmark=config.nodes["benchmark"].option,
        scenario=config.nodes["benchmark"].values.get("scenario"),
        said=_said(config.overrides),
        strategy=config.nodes["strategy"].option,
        seed=config.seed,
        epochs=None if keys.get("train_iterations") else keys.get("train_epochs"),
        minibatch=keys.get("train_mb_size"),
        stream=stream,
        sizes=sizes(stream),
        updates=updates,
        experiences=tuple(_facts(stream, updates.by_experience or [None] * len(stream))),
    )


def _said(overrides: Sequence[str]) -> tuple[str, ...]:
    """The last word on each of the benchmark's keys, but for where its data are."""
    words = {word.partition("=")[0]: word for word in overrides if word.startswith("benchmark.")}
    return tuple(word for key, word in words.items() if key not in SAID_ELSEWHERE)


def _facts(stream: Benchmark, steps: Sequence[int | None]) -> list[ExperienceFacts]:
    seen: set[int] = set()
    facts = []
    for experience, its_steps in zip(stream, steps, strict=True):
        facts.append(_of(experience, seen, its_steps))
        seen.update(facts[-1].classes)
    return facts


def _of(experience: Experience, seen: set[int], steps: int | None) -> ExperienceFacts:
    held_out, classes = experience.validation, counts(experience.train.y)
    return ExperienceFacts(
        index=experience.index,
        train=len(experience.train.y),
        test=len(experience.test.y),
        validation=None if held_out is None else len(held_out.y),
        classes=classes,
        test_classes=counts(experience.test.y),
        new_classes=tuple(label for label in classes if label not in seen),
        bytes=experience.train.x.nbytes,
        steps=steps,
    )
