from __future__ import annotations

import json
import os
import re
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from clrun.device.device import Device
from clrun.fast.fastest import (
    CLEARLY,
    LARGE_UPDATE,
    an_update,
    choose,
    copied,
    fastest,
    memory_file,
    preferred,
    seconds_of,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
KEY = {"model": "mlp", "rows": [32, 1, 8, 8]}


class Stopwatch:
    """Shows the seconds it was given, and counts its readings."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.readings = seconds, 0

    def __call__(self, device: torch.device) -> float:
        self.readings += 1
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
    assert preferred(seconds) == device


def test_an_equal_run_chooses_alike_without_measuring_again(tmp_path):
    memory = tmp_path / "deep" / "fastest.json"
    first, later = Stopwatch(cuda=2.0, cpu=1.0), Stopwatch(cuda=1.0, cpu=2.0)

    choices = [fastest([GPU, CPU], watch, KEY, memory) for watch in (first, later)]

    assert choices == [(CPU, {"cuda:0": 2.0, "cpu": 1.0})] * 2
    assert (first.readings, later.readings) == (2, 0)
    assert os.listdir(memory.parent) == ["fastest.json"]


@pytest.mark.parametrize("change", [{"model": "cnn"}, {"rows": [64, 1, 8, 8]}, {"torch": "3.0"}])
def test_another_run_is_measured_for_itself_and_the_first_is_kept(tmp_path, change):
    memory, watch = tmp_path / "fastest.json", Stopwatch(cuda=1.0, cpu=2.0)

    for key in (KEY, {**KEY, **change}, KEY):
        fastest([GPU, CPU], watch, key, memory)

    assert watch.readings == 4
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


CONVOLVING = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(48, 2))


@pytest.fixture
def two_devices(tmp_path, monkeypatch):
    """Makes devices of a machine of one kind, twice, whose measurements lie in a fresh folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    two = [torch.device("cpu", 0), torch.device("cpu")]
    monkeypatch.setattr("clrun.device.device.choose", lambda *_: two)

    def make(*, tricks: bool = True) -> Device:
        usual = {"kind": "auto", "index": 0, "precision": "fp32", "channels_last": False}
        ways = {"compile": False, "threads": None, "deterministic": False}
        return Device(Device.Config(**usual, **ways, tricks=tricks))

    return make


def test_where_there_is_a_choice_an_update_is_measured_shown_and_remembered(two_devices):
    state = torch.get_rng_state()

    choices = []
    for _ in range(2):
        device = two_devices()
        choose(device, CONVOLVING, (3, 4, 5), 8, update_macs=100_000)
        choices.append((device.torch, device.notes()))

    assert choices[0] == choices[1]
    assert re.fullmatch(r"device=auto: cpu\S*\. .* ms on cpu:0, .* ms on cpu\.", choices[0][1][0])
    assert memory_file().exists()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("tricks", "update_macs"), [(True, LARGE_UPDATE), (False, 100_000)], ids=["large", "off"]
)
def test_a_large_update_or_one_without_tricks_goes_to_the_preferred_device_unmeasured(
    tricks, update_macs, two_devices
):
    device = two_devices(tricks=tricks)

    choose(device, CONVOLVING, (3, 4, 5), 8, update_macs=update_macs)

    assert (device.torch, device.notes()) == (device.able[0], [])
    assert not memory_file().exists()


def test_the_only_device_there_is_is_not_measured(two_devices):
    device = two_devices()
    device.able = device.able[1:]

    choose(device, CONVOLVING, (3, 4, 5), 8, update_macs=100_000)

    assert not memory_file().exists()
