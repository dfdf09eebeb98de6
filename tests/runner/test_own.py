"""Runs with a benchmark or a model of one's own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import clrun
from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.runner.prepare import prepare
from clrun.streams.experience import Benchmark


def stream(*, brightness: int = 200) -> Benchmark:
    """Two experiences of two classes each: which quarter of an image is bright says the class."""

    def rows(labels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.tensor(labels * 20)
        x = torch.randint(0, 50, (len(y), 1, 4, 4), generator=torch.Generator().manual_seed(0))
        for k, label in enumerate(y.tolist()):
            row, column = divmod(label, 2)
            x[k, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += brightness
        return x.to(torch.uint8), y

    pairs = [rows([0, 1]), rows([2, 3])]
    return Benchmark.of_arrays(pairs, pairs, name="quarters")


def network(outputs: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, outputs))


def test_a_run_learns_one_s_own_stream_with_one_s_own_model(config_of, tmp_path):
    model, config = network(), config_of("strategy.train_epochs=20")
    before = [p.clone() for p in model.parameters()]

    results = clrun.run(config, tmp_path / "run", benchmark=stream(), model=model)

    assert [e["classes"] for e in results.experiences] == [[0, 1], [2, 3]]
    assert results.metrics["acc_final"] == 1.0
    assert not all(map(torch.equal, before, model.parameters()))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["label"] == "replay-quarters-s0"
    saved = yaml.safe_load((tmp_path / "run" / ".hydra" / "config.yaml").read_text())
    assert saved["model"]["target"] == "torch.nn.modules.container:Sequential"


def test_a_configured_model_takes_the_shape_of_one_s_own_stream(config_of, tmp_path):
    prepared = prepare(config_of(), own_benchmark=stream())

    assert prepared.model(torch.zeros(3, 1, 4, 4)).shape == (3, 4)
    assert prepared.data.name == "quarters"


def test_the_hash_follows_what_is_in_the_benchmark_and_the_model(config_of):
    def hashed(**own: Any) -> str:
        return prepare(config_of(), **own).config.hash()

    plain, first = hashed(), hashed(own_benchmark=stream())

    assert first == hashed(own_benchmark=stream())
    own_model = hashed(own_benchmark=stream(), own_model=network())
    others = {hashed(own_benchmark=stream(brightness=201)), own_model}
    assert len({plain, first, *others}) == 4
    assert own_model == hashed(own_benchmark=stream(), own_model=network())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            network(outputs=3),
            r"model: gives \[2, 3\] for two images\. It must give logits \[2, 4\]",
        ),
        (nn.Flatten(2), r"model: gives \[2, 1, 16\]"),
        (nn.Linear(5, 4), r"model: fails on images \[2, 1, 4, 4\]"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, message, config_of):
    with pytest.raises(ConfigError, match=message):
        prepare(config_of(), own_benchmark=stream(), own_model=model)


def test_a_benchmark_without_validation_rows_cannot_be_scored_on_them(config_of):
    config = config_of("eval.stream=validation", "benchmark.validation_fraction=0.2")

    with pytest.raises(ConfigError, match=r"eval\.stream=validation: the benchmark has no such"):
        prepare(config, own_benchmark=stream())


def test_looking_at_a_model_leaves_it_in_its_mode(config_of):
    model = network()
    prepare(config_of(), own_benchmark=stream(), own_model=model)

    assert model.training


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"benchmark": "digits"}, r"benchmark: is a str\. It must be a Benchmark"),
        ({"benchmark": [([0], [0])]}, r"benchmark: is a list\. It must be a Benchmark"),
        ({"model": "mlp"}, r"model: is a str\. It must be a torch\.nn\.Module"),
        ({"model": nn.Linear}, r"model: is a type\. It must be a torch\.nn\.Module"),
        (
            {"model": network(outputs=10).requires_grad_(False), "benchmark": None},
            r"model: fails on images \[2, 1, 8, 8\]",
        ),
        (
            {"model": network().requires_grad_(False), "benchmark": stream()},
            r"model: no parameter of it requires a gradient, and strategy=replay learns",
        ),
    ],
)
def test_what_is_no_benchmark_or_model_is_refused(own, message, config_of, tmp_path):
    with pytest.raises(ConfigError, match=message):
        clrun.run(config_of(), tmp_path / "run", **own)

    assert list(tmp_path.iterdir()) == []


def test_a_stream_put_together_by_hand_is_looked_through(config_of):
    good = stream()
    first = good.experiences[0]
    floats = replace(first, train=Patterns(first.train.x / 255, first.train.y))
    bad = replace(good, experiences=[floats, good.experiences[1]])

    with pytest.raises(ConfigError, match=r"benchmark: experiences\[0\]\.train\.x is float32"):
        prepare(config_of(), own_benchmark=bad)


def test_what_is_no_configuration_is_refused():
    with pytest.raises(ConfigError, match=r"config: is a list\. It must be what clrun\.compose"):
        clrun.run(["strategy=naive"])


@pytest.mark.parametrize("strategy", ["naive", "replay"])
def test_looking_at_a_model_changes_nothing_of_it(strategy, config_of):
    model = nn.Sequential(nn.BatchNorm2d(1), network())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()

    prepare(config_of(f"strategy={strategy}"), own_benchmark=stream(), own_model=model)

    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)
