from __future__ import annotations

import json
import os
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from clrun.device.fastest import (
    CLEARLY,
    an_update,
    chosen,
    copied,
    fastest,
    memory_file,
    seconds_of,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
KEY = {"model": "mlp", "rows": [32, 1, 8, 8]}


class Stopwatch:
    """Says what it was given, and counts how often it was asked."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.asked = seconds, 0

    def __call__(self, device: torch.device) -> float:
        self.asked += 1
        return self.seconds[device.type]


@pytest.mark.parametrize(
    ("seconds", "device"),
    [
        ({"cuda:0": 2e-3, "cpu": 1e-3}, "cpu"),
        ({"cuda:0": 1e-3, "cpu": 2e-3}, "cuda:0"),
        ({"cuda:0": 1e-3, "cpu": 1e-3}, "cuda:0"),
        ({"cuda:0": 1e-3, "cpu": CLEARLY * 1e-3}, "cpu"),
        ({"cuda:0": 1e-3, "cpu": (CLEARLY + 0.01) * 1e-3}, "cuda:0"),
        ({"cuda:0": 9.0, "mps:0": 2.0, "cpu": 1.0}, "cpu"),
        ({"cpu": 1.0}, "cpu"),
    ],
)
def test_the_preferred_device_gives_way_to_one_that_is_clearly_quicker(seconds, device):
    assert chosen(seconds) == device


def test_an_equal_run_chooses_alike_without_measuring_again(tmp_path):
    memory = tmp_path / "deep" / "fastest.json"
    first, later = Stopwatch(cuda=2.0, cpu=1.0), Stopwatch(cuda=1.0, cpu=2.0)

    choices = [fastest([GPU, CPU], watch, KEY, memory) for watch in (first, later)]

    assert choices == [(CPU, {"cuda:0": 2.0, "cpu": 1.0})] * 2
    assert (first.asked, later.asked) == (2, 0)
    assert os.listdir(memory.parent) == ["fastest.json"]


@pytest.mark.parametrize("change", [{"model": "cnn"}, {"rows": [64, 1, 8, 8]}, {"torch": "3.0"}])
def test_another_run_is_measured_for_itself_and_the_first_is_kept(tmp_path, change):
    memory, watch = tmp_path / "fastest.json", Stopwatch(cuda=1.0, cpu=2.0)

    for key in (KEY, {**KEY, **change}, KEY):
        fastest([GPU, CPU], watch, key, memory)

    assert watch.asked == 4
    assert len(json.loads(memory.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", '{"0123": {"cpu": 1}}'])
def test_a_damaged_memory_is_measured_anew(tmp_path, content):
    memory = tmp_path / "fastest.json"
    memory.write_text(content)

    device, _ = fastest([GPU, CPU], Stopwatch(cuda=1.0, cpu=2.0), KEY, memory)

    assert device == GPU
    assert {"cuda:0": 1.0, "cpu": 2.0} in json.loads(memory.read_text()).values()


def test_a_memory_that_cannot_be_written_costs_a_measurement_and_no_run(tmp_path):
    (tmp_path / "file").touch()

    device, _ = fastest([GPU, CPU], Stopwatch(cuda=1.0, cpu=2.0), KEY, tmp_path / "file" / "x")

    assert device == GPU


def test_the_memory_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert memory_file() == tmp_path / "clrun" / "fastest_device.json"


def test_measuring_leaves_the_model_and_the_global_generator_as_they_were():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    x = torch.ones(6, 1, 2, 2)

    seconds = seconds_of(an_update(copied(model), x, nullcontext), CPU)

    assert 0 < seconds < 1
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_slow_update_is_measured_once_after_the_first(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    calls = []

    seconds = seconds_of(lambda: calls.append(1), CPU)

    assert (len(calls), seconds) == (2, 1.0)
