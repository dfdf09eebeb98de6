"""On a CUDA device: what runs there agrees with the CPU, waits for nothing and leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from waits import CASES, forbidden, learning, under_way, waits_of_cuda

import clrun
from clrun.device.device import Device
from clrun.device.rows import has_room, hold
from clrun.device.support import undetermined
from clrun.fast.fastest import choose, memory_file
from clrun.images.transforms import Transform
from clrun.models.batch_renorm import replace_bn_with_brn
from clrun.strategies.latent_cache import LatentCache

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

REPLAY = ("strategy=replay", "model=mlp", "model.hidden=[64]")
CONVOLUTIONS = ("strategy=replay", "model=cnn", "model.channels=[16,16]", "strategy.lr=0.05")
AR1 = (
    *("strategy=ar1", "model=cnn", "model.channels=[16,16]", "model.norm=batch"),
    *("strategy.latent_layer=features.relu0", "strategy.train_mb_size=64", "strategy.lr=0.05"),
)
SMALL = ("benchmark=digits", "strategy.train_epochs=2", "seed=1")
GPU = torch.device("cuda", 0)


@contextmanager
def nothing_waits() -> Iterator[None]:
    """Waiting for the device is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def on_gpu(**changes) -> Device:
    usual = {
        **{"kind": "cuda", "index": 0, "precision": "fp32", "channels_last": None},
        **{"compile": False, "threads": None, "deterministic": True, "tricks": True},
    }
    return Device(Device.Config(**{**usual, **changes}))


@pytest.fixture
def run(tmp_path):
    """Results of a small run with these overrides."""

    def go(*overrides: str) -> clrun.Results:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return clrun.run(clrun.compose([*SMALL, *overrides]), folder)

    return go


@pytest.mark.parametrize("experiment", [REPLAY, CONVOLUTIONS, AR1], ids=["mlp", "cnn", "ar1"])
def test_a_run_scores_as_on_the_cpu(run, experiment):
    there, here = run(*experiment, "device=cuda"), run(*experiment, "device=cpu")

    difference = torch.tensor(there.accuracy_matrix) - torch.tensor(here.accuracy_matrix)
    assert difference.abs().mean() < 0.03
    assert there.cost["peak_device_bytes"] > 0
    assert here.cost["peak_device_bytes"] == 0


@pytest.mark.parametrize("experiment", [REPLAY, CONVOLUTIONS, AR1], ids=["mlp", "cnn", "ar1"])
def test_a_deterministic_run_repeats_bit_for_bit(run, experiment):
    first, again = run(*experiment, "device=cuda"), run(*experiment, "device=cuda")

    assert first.accuracy_matrix == again.accuracy_matrix


@pytest.mark.parametrize(
    "how",
    [
        ("device.precision=bf16",),
        ("device.precision=fp16",),
        ("device.channels_last=true",),
        ("device.deterministic=false",),
        pytest.param(("device.compile=true",), marks=pytest.mark.slow),
    ],
    ids=lambda how: how[0],
)
@pytest.mark.parametrize("experiment", [CONVOLUTIONS, AR1], ids=["cnn", "ar1"])
def test_another_way_of_computing_learns_as_well(run, experiment, how):
    plain, other = run(*experiment, "device=cuda"), run(*experiment, "device=cuda", *how)

    difference = torch.tensor(plain.accuracy_matrix) - torch.tensor(other.accuracy_matrix)
    assert difference.abs().mean() < 0.05


@pytest.mark.parametrize("name", CASES)
def test_no_update_waits_but_where_it_says_that_it_has_to(name):
    steps = under_way(learning(*CASES[name], "device=cuda"))

    with waits_of_cuda() as found:
        made = list(steps)

    assert forbidden(found) == []
    assert all(bool(step.loss.isfinite()) for step in made)


@pytest.mark.parametrize("is_resident", [True, False])
def test_latents_of_the_test_set_stay_where_there_is_room_for_them(is_resident, monkeypatch):
    monkeypatch.setattr("clrun.device.rows.LEFT_FREE", 0.0 if is_resident else 2.0)
    lower = torch.nn.Conv2d(3, 4, 3).to(GPU)
    cache = LatentCache(
        lambda x: lower(x.to(GPU).float()).detach(),
        chunk=16,
        has_room=partial(has_room, device=GPU),
    )
    held = hold(torch.arange(40 * 192).remainder(251).to(torch.uint8).view(40, 3, 8, 8), GPU)

    before = [cache.latents(x) for x in held.in_order(20)]
    after = [cache.latents(x) for x in held.in_order(20)]

    assert [z.device for z in before] == [GPU if is_resident else torch.device("cpu")] * 2
    assert all(z is again for z, again in zip(before, after, strict=True))


@pytest.mark.parametrize("is_resident", [True, False])
def test_held_rows_arrive_whole_however_many_are_on_their_way(is_resident, monkeypatch):
    monkeypatch.setattr("clrun.device.rows.LEFT_FREE", 0.0 if is_resident else 2.0)
    x = torch.arange(4096 * 3072).remainder(251).to(torch.uint8).view(4096, 3, 32, 32)
    held = hold(x, GPU)
    plan = torch.randint(4096, (40, 512), generator=torch.Generator().manual_seed(0))
    indices = plan.to(held.indices_on)
    busy = torch.ones(4096, 4096, device=GPU)
    torch.cuda.synchronize()

    with nothing_waits():
        taken = []
        for some in indices:
            busy = busy @ busy  # the device is behind
            taken.append(held.take(some))

    assert held.indices_on == (GPU if is_resident else torch.device("cpu"))
    for rows, some in zip(taken, plan, strict=True):
        assert torch.equal(rows.cpu(), x[some])


def test_a_row_that_does_not_exist_is_an_error_before_the_device_sees_it():
    held = hold(torch.zeros(3, 2, dtype=torch.uint8), GPU)

    with pytest.raises(AssertionError, match="rows 1 to 3 of 3"):
        held.take(torch.tensor([1, 3]))


def test_fp32_is_not_shortened_to_tf32():
    a = torch.rand(512, 512, generator=torch.Generator().manual_seed(0))
    device = on_gpu()

    with device.applied(0):
        product = device.put(a) @ device.put(a)

    error = (product.cpu().double() - a.double() @ a.double()).abs().max()
    assert error < 1e-3  # TF32 is off by 1e-1


@pytest.mark.parametrize(("precision", "channels_last"), [("fp32", False), ("bf16", True)])
def test_null_puts_convolutions_in_channels_last_order_for_16_bits(precision, channels_last):
    device = on_gpu(precision=precision)
    device.place(torch.nn.Conv2d(3, 8, 3))

    x = device.put(torch.zeros(2, 3, 4, 5))

    assert x.is_contiguous(memory_format=torch.channels_last) == channels_last


def test_auto_measures_and_remembers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    state = torch.get_rng_state(), torch.cuda.get_rng_state()

    chosen = []
    for _ in range(2):
        device = on_gpu(kind="auto")
        device.settle(model)
        choose(device, model, (1, 8, 8), 32, update_macs=100_000)
        chosen.append((device.torch, device.notes()))

    assert chosen[0] == chosen[1]
    assert "ms on cuda:0" in chosen[0][1][0]
    assert memory_file().exists()
    assert torch.equal(torch.get_rng_state(), state[0])
    assert torch.equal(torch.cuda.get_rng_state(), state[1])


@pytest.mark.parametrize("experiment", [REPLAY, AR1], ids=["mlp", "ar1"])
def test_an_experience_without_test_rows_is_scored_too(run, experiment):
    online = ("benchmark.scenario=online", "benchmark.rows_per_experience=5")

    results = run("device=cuda", *experiment, *online, "benchmark.limit_per_class=10")

    assert any(value is None for row in results.accuracy_matrix for value in row)


def test_masks_of_a_compiled_model_differ_from_update_to_update(run):
    model = ("model=mlp", "model.dropout=0.5", "strategy=naive", "log_every=1")

    compiled = run("device=cuda", "device.compile=true", *model)

    assert compiled.metrics["acc_final"] == pytest.approx(
        run("device=cuda", *model).metrics["acc_final"], abs=0.02
    )


def test_the_same_seed_gives_the_same_bits_whatever_a_module_draws(tmp_path):
    config = clrun.compose(["device=cuda", "strategy=naive", *SMALL])
    layers = (torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10))

    def scored(name: str) -> list[list[float | None]]:
        torch.manual_seed(0)
        layers[2].reset_parameters()
        model = torch.nn.Sequential(*layers).cpu()
        return clrun.run(config, tmp_path / name, model=model).accuracy_matrix

    assert scored("one") == scored("two")


def test_a_crop_does_not_wait_for_the_device():
    transform = Transform((0.5,), (0.5,), "crop")
    x = torch.zeros(4, 1, 24, 24, dtype=torch.uint8, device=GPU)
    draws = transform.draw(4, torch.Generator().manual_seed(0))
    transform.training(x, draws)

    with nothing_waits():
        transform.training(x, draws)


def test_a_normalisation_without_tensors_goes_where_the_others_are():
    bare = torch.nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), bare).to(GPU)

    replace_bn_with_brn(model)

    assert {tensor.device for tensor in model.state_dict().values()} == {GPU}


@pytest.mark.parametrize("size", [1, 6])
def test_what_is_found_before_a_run_is_what_pytorch_refuses(size):
    layer = torch.nn.AdaptiveAvgPool2d(size).to(GPU)
    x = torch.ones(1, 1, 8, 8, device=GPU, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        layer(x).sum().backward()
        works = True
    except RuntimeError:
        works = False
    finally:
        torch.use_deterministic_algorithms(False)

    assert (undetermined("cuda", layer) is None) == works
