"""Runs with a benchmark or a model of one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import clrun
from clrun.errors import ConfigError
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
