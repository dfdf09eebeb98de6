"""Models as users write them: the quick forms give the numbers of the plain ones, or one line."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm

import clrun
from clrun.errors import ConfigError
from clrun.runner.evaluating import scores_on
from clrun.runner.loading import TrainedModel
from clrun.runner.prepare import ready


class Net(nn.Module):
    """Two convolutions with normalisation, then a hidden layer and the head."""

    convolution: type[nn.Conv2d] = nn.Conv2d

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = self.convolution(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.second_norm = self.convolution(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.relu, self.pool = nn.ReLU(), nn.AvgPool2d(4)
        self.hidden, self.output = nn.Linear(32, 24), nn.Linear(24, 10)

    def features(self, x: Tensor) -> Tensor:
        y = self.relu(self.first_norm(self.first(x)))
        y = self.pool(self.relu(self.second_norm(self.second(y))))
        return torch.relu(self.hidden(y.flatten(1)))

    def forward(self, x: Tensor) -> Any:
        return self.output(self.features(x))


class Standardised(nn.Conv2d):
    """Weights of mean 0 and deviation 1 (Qiao et al. 2019, https://arxiv.org/abs/1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        mean, std = w.mean((1, 2, 3), keepdim=True), w.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (w - mean) / (std + 1e-5), self.bias)


class StandardisedNet(Net):
    convolution = Standardised


class FunctionalDropout(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.output(functional.dropout(self.features(x), 0.5, self.training))


class DropoutBelow(Net):
    """Dropout between the convolutions, in what AR1 freezes."""

    def features(self, x: Tensor) -> Tensor:
        y = self.relu(self.first_norm(self.first(x)))
        y = functional.dropout(y, 0.5, self.training)
        y = self.pool(self.relu(self.second_norm(self.second(y))))
        return torch.relu(self.hidden(y.flatten(1)))


class DropoutLayer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.drop(self.features(x)))


class Noisy(Net):
    """Draws from three generators of other people's, while it trains."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.features(x)
        if self.training:
            y = y + 0.1 * torch.randn(24) + 0.1 * random.random()
            y = y + 0.1 * numpy.random.rand()  # noqa: NPY002 - as users do
        return self.output(y)


class Counting(Net):
    """Learns slower with each call, which a buffer counts in place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.output(self.features(x)) / (1 + self.calls / 100)


class CountingLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x / (1 + self.calls / 100)


class WithCountingLayer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.slower = CountingLayer()

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.slower(self.features(x)))


class AsksForTensors(Net):
    """Does something else for what is no tensor, as a trace hands it in."""

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x) if isinstance(x, Tensor) else self.features(x) * 0)


class Listing(Net):
    """Reads a list and a dict of its own, which the training changes."""

    def __init__(self) -> None:
        super().__init__()
        self.scales, self.by_name = [1.0], {"shift": 0.0}

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scales[0] *= 0.99
            self.by_name["shift"] += 0.01
        return self.output(self.features(x)) * self.scales[0] + self.by_name["shift"]


class Pair(Net):
    def forward(self, x: Tensor) -> Any:
        y = self.features(x)
        return self.output(y), y


class Few(Net):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(24, 4)


class Frozen(Net):
    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


class PartlyFrozen(Net):
    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)
        self.first_norm.requires_grad_(False)


def hooked(change: Callable[[Net], Any]) -> Callable[[], Net]:
    def make() -> Net:
        net = Net()
        change(net)
        return net

    return make


def doubled(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    return output * 2


KINDS: dict[str, Callable[[], nn.Module]] = {
    "plain": Net,
    "subclassed convolution": StandardisedNet,
    "hook on a convolution": hooked(lambda net: net.first.register_forward_hook(doubled)),
    "hook on a normalisation": hooked(lambda net: net.first_norm.register_forward_hook(doubled)),
    "hook on the model": hooked(lambda net: net.register_forward_hook(doubled)),
    "spectral_norm": hooked(lambda net: spectral_norm(net.second)),
    "parametrised": hooked(lambda net: parametrizations.weight_norm(net.second)),
    "pruned": hooked(lambda net: prune.l1_unstructured(net.second, "weight", 0.5)),
    "functional dropout": FunctionalDropout,
    "functional dropout below": DropoutBelow,
    "dropout layer": DropoutLayer,
    "noise": Noisy,
    "buffer counter": Counting,
    "counting layer": WithCountingLayer,
    "asks for tensors": AsksForTensors,
    "lists": Listing,
    "tuple output": Pair,
    "few outputs": Few,
    "frozen": Frozen,
    "partly frozen": PartlyFrozen,
}
REFUSED = {
    ("hook on the model", "ar1"): "a hook is called for a layer that has layers of its own",
    ("buffer counter", "ar1"): "it makes a tensor while it computes",
    ("lists", "ar1"): "its forward pass changes what it reads",
    ("asks for tensors", "ar1"): "its two parts together give other logits than the whole",
    ("noise", "ar1"): "cannot be cut",
    **{("tuple output", name): "gives" for name in ("naive", "replay", "ar1")},
    **{("few outputs", name): r"\[2, 4\]" for name in ("naive", "replay", "ar1")},
    **{("frozen", name): "no parameter of it requires" for name in ("naive", "replay", "ar1")},
}
STRATEGIES = {
    "naive": ("strategy=naive", "strategy.lr=0.05"),
    "replay": ("strategy=replay", "strategy.lr=0.05", "strategy.mem_size=40"),
    "ar1": ("strategy=ar1", "strategy.lr=0.05", "strategy.train_mb_size=32", "strategy.rm_sz=40"),
}
SMALL = (
    "strategy.train_epochs=1",
    "benchmark.limit_per_class=24",
    "benchmark.n_experiences=2",
    "device=cpu",
    "log_every=1",
)


composed = cache(lambda strategy, *more: clrun.compose([*STRATEGIES[strategy], *SMALL, *more]))


def run_of(kind: str, strategy: str, folder: Path, *more: str) -> tuple[Tensor, Tensor]:
    """The losses of all updates and the accuracy matrix."""
    torch.manual_seed(0)
    results = clrun.run(composed(strategy, *more), folder, model=KINDS[kind]())
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    return torch.tensor(losses), torch.tensor(results.accuracy_matrix)


class Made(NamedTuple):
    folder: Path
    losses: Tensor
    accuracies: Tensor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Made]:
    """Kind and strategy -> their run, made once."""

    @cache
    def make(kind: str, strategy: str) -> Made:
        folder = tmp_path_factory.mktemp("made") / "run"
        return Made(folder, *run_of(kind, strategy, folder))

    return make


CASES = [(kind, strategy) for kind in KINDS for strategy in STRATEGIES]


@pytest.mark.parametrize(("kind", "strategy"), [c for c in CASES if c not in REFUSED])
def test_the_numbers_are_those_of_an_unfolded_run(kind, strategy, made, tmp_path):
    _, losses, accuracies = made(kind, strategy)

    plain_losses, plain_accuracies = run_of(kind, strategy, tmp_path / "off", "device.tricks=off")

    torch.testing.assert_close(losses, plain_losses, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(accuracies, plain_accuracies, rtol=0, atol=0.011)


@pytest.mark.parametrize(("kind", "strategy"), list(REFUSED))
def test_what_cannot_be_done_is_one_line_before_anything_starts(kind, strategy, tmp_path):
    with pytest.raises(ConfigError, match=REFUSED[kind, strategy]) as raised:
        run_of(kind, strategy, tmp_path / "run")

    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["dropout layer", "functional dropout", "noise"])
@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_the_same_seed_gives_the_same_bits_whatever_a_module_draws(kind, strategy, made, tmp_path):
    if (kind, strategy) in REFUSED:
        pytest.skip("refused")
    _, losses, accuracies = made(kind, strategy)
    for draw in (random.random, numpy.random.rand, lambda: torch.rand(7)):
        draw()

    again = run_of(kind, strategy, tmp_path / "two")

    assert torch.equal(losses, again[0])
    assert torch.equal(accuracies, again[1])


SAVED = [(k, s) for k, s in CASES if (k, s) not in REFUSED and s != "replay" and k != "lists"]


@pytest.mark.parametrize(("kind", "strategy"), SAVED)
def test_what_a_run_saves_of_it_has_the_accuracies_of_the_run(kind, strategy, made):
    folder, _, accuracies = made(kind, strategy)

    trained = clrun.load(folder, model=KINDS[kind]())

    assert last_row_of(trained, strategy) == accuracies[-1].tolist()


def last_row_of(trained: TrainedModel, strategy: str) -> list[float | None]:
    """Accuracies of a loaded model on the experiences of the runs above."""
    prepared = ready(composed(strategy))
    scores = scores_on(trained, prepared.data, prepared.evaluation)
    return torch.tensor(scores.experiences).tolist()


def test_what_is_no_part_of_its_state_is_missed_when_it_is_loaded(made):
    folder, _, _ = made("lists", "naive")

    with pytest.raises(ConfigError, match="keeps something that is no part of its state_dict"):
        clrun.load(folder, model=Listing())


def test_a_frozen_module_and_one_with_two_outputs_are_given_weights_too(made):
    folder, _, accuracies = made("plain", "naive")

    trained = clrun.load(folder, model=Frozen())

    assert not any(parameter.requires_grad for parameter in trained.model.parameters())
    assert last_row_of(trained, "naive") == accuracies[-1].tolist()
    with pytest.raises(ConfigError, match="gives a tuple"):
        clrun.load(folder, model=Pair())
