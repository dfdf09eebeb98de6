"""What the tests of strategies share: options of conf/strategy on digits, and numbered rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clrun
from clrun.config.option_file import read_option
from clrun.config.run_config import RunConfig
from clrun.device.device import Device
from clrun.images.patterns import Patterns
from clrun.images.transforms import Draws, Transform
from clrun.memory.selection import RandomExemplarsSelectionStrategy
from clrun.memory.storage_policy import ExperienceBalancedStoragePolicy
from clrun.runner.prepare import build, prepare
from clrun.seeds import isolated
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Benchmark, Experience, merged
from clrun.testing.trial import Trial


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """As a run of models this small: a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


DEVICE = os.environ.get("CLRUN_TEST_DEVICE", "cpu")
"""scripts/prove_cuda runs the ladder on a GPU."""
QUICK = {
    "ar1": (
        *("strategy.latent_layer=features.relu0", "strategy.train_mb_size=32", "strategy.lr=0.05"),
    ),
    **dict.fromkeys(("statistics", "ncm", "slda", "fecam"), ("strategy.eval_mb_size=32",)),
    "ranpac": ("strategy.eval_mb_size=32", "strategy.projection_dim=64"),
}
"""Keys that make an option whose defaults are for large images learn a few small ones."""


@cache
def composed(*overrides: str) -> RunConfig:
    return clrun.compose(list(overrides))


@cache
def benchmark_of(*overrides: str) -> Benchmark:
    return prepare(composed(*overrides)).data


@cache
def brings_a_model(name: str) -> bool:
    return read_option("strategy", name).choices.get("model", "mlp") != "mlp"


@cache
def keys_of(name: str) -> frozenset[str]:
    return frozenset(read_option("strategy", name).keys)


def has_key_of(name: str, word: str) -> bool:
    """Whether an option has the key that a word is about, as all have that descend."""
    key = word.partition("=")[0]
    ours = key.removeprefix("strategy.")
    return "lr" in keys_of(name) or ours == key or ours in keys_of(name)


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """(option of conf/strategy, overrides) -> Trial, built as a run builds it.

    A strategy that brings a model of its own is given the MLP all the same, which is fast. One
    without descent is spared the keys of descent.
    """

    def make(name: str, *overrides: str) -> Trial:
        given = [word for word in (*QUICK.get(name, ()), *overrides) if has_key_of(name, word)]
        words = [f"strategy={name}", f"device={DEVICE}", *given]
        if brings_a_model(name) and not any(word.startswith("model=") for word in words):
            words.append("model=mlp")
        prepared = prepare(composed(*words))
        benchmark = benchmark_of(*words)
        parts = Parts(
            model=prepared.device.place(prepared.model),
            transform=benchmark.transform,
            device=prepared.device,
            seed=prepared.config.seed,
            num_classes=benchmark.shape.num_classes,
            storage_policy=prepared.storage_policy,
            selection=prepared.selection,
            plugins=tuple(build(node) for node in prepared.config.plugins),
            pattern_macs=prepared.pattern_macs,
            image_shape=prepared.image_shape,
        )
        strategy = build(prepared.config.nodes["strategy"], parts)
        stream = [merged(benchmark)] if strategy.whole_stream else list(benchmark)
        return Trial(strategy, stream, benchmark)

    return make


NUM_CLASSES = 6
DESCENT_KEYS: dict[str, Any] = {
    "lr": 0.1,
    "momentum": 0.0,
    "l2": 0.0,
    "train_epochs": 1,
    "train_mb_size": 32,
    "eval_mb_size": 512,
    "optimizer": "sgd",
    "schedule": "constant",
    "schedule_milestones": [],
    "schedule_factor": 0.1,
    "criterion": "cross_entropy",
    "plugins": [],
    "eval_every": 0,
}


@pytest.fixture(scope="session")
def descent_keys() -> dict[str, Any]:
    """A value for each key of descent."""
    return DESCENT_KEYS


@pytest.fixture(scope="session")
def numbered() -> Callable[..., Experience]:
    """(index, rows, classes) -> an experience whose images tell their number and their class.

    Experience k has the classes 2k and 2k + 1 unless others are given. Its first row is number
    1000 k.
    """

    def make(index: int, rows: int = 80, classes: Sequence[int] | None = None) -> Experience:
        of = tuple(classes or (2 * index, 2 * index + 1))
        y = torch.tensor(of).repeat(-(-rows // len(of)))[:rows]
        number = torch.arange(rows) + 1000 * index
        x = torch.randint(256, (rows, 1, 4, 4), generator=torch.Generator().manual_seed(index))
        x[:, 0, 0, 0], x[:, 0, 0, 1], x[:, 0, 0, 2] = number // 256, number % 256, y
        train = Patterns(x.to(torch.uint8), y)
        return Experience(index=index, classes=of, task_label=0, train=train, test=train)

    return make


def numbers(x: Tensor) -> list[int]:
    """The numbers of numbered images."""
    return (x[:, 0, 0, 0].long() * 256 + x[:, 0, 0, 1].long()).tolist()


@dataclass(frozen=True)
class Recording(Transform):
    """A transform that keeps which rows each update was made on."""

    minibatches: list[list[int]] = field(default_factory=list)

    def training(self, x: Tensor, draws: Draws | None) -> Tensor:
        self.minibatches.append(numbers(x))
        return super().training(x, draws)


@pytest.fixture
def recording() -> Recording:
    return Recording((0.0,), (1.0,), "none")


class Softmax(nn.Module):
    """Softmax regression, with a hidden layer to freeze."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh())
        self.output = nn.Linear(8, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


class Reader(nn.Module):
    """Reads the class that a numbered image tells, whatever it is taught."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        told = nn.functional.one_hot((x[:, 0, 0, 2] * 255).round().long(), NUM_CLASSES)
        return told * 20.0 + 0 * self.output.bias


@pytest.fixture
def reader() -> Reader:
    """A model for which every row with its own label is correct, and no other."""
    return Reader()


@pytest.fixture(scope="session")
def parts_of() -> Callable[..., Parts]:
    """Fresh parts for numbered rows, the ones given taking the place of the usual ones."""

    def make(*, precision: str = "fp32", tricks: bool = True, **given: Any) -> Parts:
        with isolated(0, "weights"):
            model = Softmax()
        device = Device.Config(
            kind="cpu",
            index=0,
            precision=precision,
            channels_last=False,
            compile=False,
            threads=None,
            deterministic=True,
            tricks=tricks,
        )
        policy = ExperienceBalancedStoragePolicy.Config(adaptive_size=True, num_experiences=None)
        usual: dict[str, Any] = {
            "model": model,
            "transform": Transform((0.0,), (1.0,), "none"),
            "device": Device(device),
            "seed": 0,
            "num_classes": NUM_CLASSES,
            "storage_policy": ExperienceBalancedStoragePolicy(policy),
            "selection": RandomExemplarsSelectionStrategy(
                RandomExemplarsSelectionStrategy.Config()
            ),
            "plugins": (),
        }
        return Parts(**{**usual, **given})

    return make
