from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import clrun
from clrun.device.device import SMALL_UPDATE, Device
from clrun.errors import ConfigError
from clrun.runner.prepare import build
from clrun.seeds import generator, isolated
from clrun.streams.experience import StreamShape

CONVOLVING = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(48, 2))
LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(60, 2))
NO_CUDA = not torch.cuda.is_available()


def device(**changes) -> Device:
    usual = {
        "kind": "cpu",
        "index": 0,
        "precision": "fp32",
        "channels_last": False,
        "compile": False,
        "threads": None,
        "deterministic": False,
        "tricks": True,
    }
    return Device(Device.Config(**{**usual, **changes}))


@pytest.fixture
def kept_settings() -> Iterator[None]:
    """Whatever a test does to the process is undone."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)


def test_threads_are_set_for_the_time_of_a_run(kept_settings):
    torch.set_num_threads(1)

    with device(threads=2).applied(0):
        inside = torch.get_num_threads()

    assert (inside, torch.get_num_threads()) == (2, 1)


@pytest.mark.parametrize(
    ("asked_for", "update_macs", "threads"),
    [
        (None, SMALL_UPDATE - 1, 1),
        (None, SMALL_UPDATE, 2),
        (2, 0, 2),
        (1, SMALL_UPDATE, 1),
    ],
)
def test_a_small_update_has_one_thread_unless_more_are_asked_for(
    asked_for, update_macs, threads, kept_settings
):
    torch.set_num_threads(2)
    wanted = device(threads=asked_for)

    with wanted.applied(update_macs):
        inside = torch.get_num_threads()

    assert inside == wanted.threads(update_macs) == threads
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("before", ["default", "warn", "error"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_determinism_is_set_for_the_time_of_a_run(before, deterministic, kept_settings):
    torch.set_deterministic_debug_mode(before)
    mode = torch.get_deterministic_debug_mode()

    with device(deterministic=deterministic).applied(0):
        inside = torch.are_deterministic_algorithms_enabled()
        warns = torch.is_deterministic_algorithms_warn_only_enabled()

    assert inside == (deterministic or before != "default")
    assert not (deterministic and warns)
    assert torch.get_deterministic_debug_mode() == mode


def test_settings_are_put_back_after_an_error_too(kept_settings):
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("default")

    with pytest.raises(ZeroDivisionError), device(threads=2, deterministic=True).applied(0):
        1 / 0  # noqa: B018

    assert torch.get_num_threads() == 1
    assert not torch.are_deterministic_algorithms_enabled()


def test_auto_takes_what_there_is():
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    best = next((kind for kind, present in kinds.items() if present), "cpu")

    assert device(kind="auto").torch.type == best


@pytest.mark.skipif(not NO_CUDA, reason="this machine has CUDA")
def test_cuda_that_is_not_there_is_an_error_and_no_fallback():
    with pytest.raises(ConfigError, match=r"device=cuda: this machine has none\. Available: .*cpu"):
        device(kind="cuda")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_mps_that_is_not_there_is_an_error_and_no_fallback():
    with pytest.raises(ConfigError, match=r"device=mps: this machine has none\."):
        device(kind="mps")


@pytest.mark.parametrize("kind", ["cpu", "auto"])
def test_an_index_that_is_not_there_is_an_error(kind):
    with pytest.raises(ConfigError, match=r"device\.index=99: the highest \w+ index is \d+\."):
        device(kind=kind, index=99)


def test_the_cpu_is_named_and_holds_no_accelerator_memory():
    cpu = device()

    assert (str(cpu.torch), cpu.name, cpu.peak_bytes()) == ("cpu", "cpu", 0)


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_and_convolutions_are_in_the_memory_order_asked_for(channels_last):
    order = torch.channels_last if channels_last else torch.contiguous_format
    wanted = device(channels_last=channels_last)

    x = wanted.put(torch.zeros(2, 3, 4, 5))
    weight = wanted.place(nn.Conv2d(3, 8, 3)).weight

    assert x.is_contiguous(memory_format=order)
    assert weight.is_contiguous(memory_format=order)


def test_rows_that_are_no_images_have_no_memory_order():
    assert device(channels_last=True).put(torch.zeros(2, 3)).is_contiguous()


@pytest.mark.parametrize(
    ("precision", "dtype", "scales"),
    [
        ("fp32", torch.float32, False),
        ("bf16", torch.bfloat16, False),
        ("fp16", torch.float16, True),
    ],
)
def test_forward_passes_are_in_the_precision_asked_for(precision, dtype, scales):
    wanted, model = device(precision=precision), nn.Linear(4, 2)

    with wanted.autocast():
        y = model(torch.ones(3, 4))

    assert y.dtype == dtype
    assert model.weight.dtype == torch.float32
    assert wanted.scaler().is_enabled() == scales


def test_without_compiling_the_model_itself_is_run():
    model = nn.Linear(4, 2)

    assert device().runnable(model) is model


@pytest.mark.parametrize(
    ("channels_last", "model", "precision", "expected"),
    [
        (None, CONVOLVING, "fp32", True),
        (None, CONVOLVING, "bf16", True),
        (None, LINEAR, "fp32", False),
        (True, LINEAR, "fp32", True),
        (False, CONVOLVING, "bf16", False),
    ],
)
def test_null_puts_what_convolves_in_channels_last_order(channels_last, model, precision, expected):
    wanted = device(channels_last=channels_last, precision=precision)

    placed = wanted.place(copy.deepcopy(model))
    x = wanted.put(torch.zeros(2, 3, 4, 5))

    assert x.is_contiguous(memory_format=torch.channels_last) == expected
    for weight in placed.parameters():
        if weight.dim() == 4:
            assert weight.is_contiguous(memory_format=torch.channels_last) == expected


@pytest.mark.parametrize(("model", "refused"), [(CONVOLVING, True), (LINEAR, False)])
def test_half_precision_convolutions_on_the_cpu_are_refused_when_the_model_is_known(model, refused):
    wanted = device(precision="fp16")

    with (
        pytest.raises(ConfigError, match=r"^device\.precision=fp16: on the CPU")
        if refused
        else (nullcontext())
    ):
        wanted.settle(model)


def test_of_several_devices_the_preferred_one_that_can_train_the_model_is_taken(monkeypatch):
    two = [torch.device("cuda", 0), torch.device("cpu")]
    monkeypatch.setattr("clrun.device.device.choose", lambda *_: two)
    linear, convolving = (device(kind="auto", precision="fp16") for _ in range(2))

    linear.settle(LINEAR)
    convolving.settle(CONVOLVING)

    assert (linear.torch, linear.able) == (two[0], two)
    assert (convolving.torch, convolving.able) == (two[0], two[:1])


def test_another_able_device_is_taken_for_a_reason_that_is_shown(monkeypatch):
    two = [torch.device("cpu", 0), torch.device("cpu")]
    monkeypatch.setattr("clrun.device.device.choose", lambda *_: two)
    wanted = device(kind="auto")

    wanted.take(two[1], "It is quicker.")

    assert (wanted.torch, wanted.notes()) == (two[1], ["It is quicker."])


@pytest.mark.parametrize(("word", "on"), [("on", True), ("off", False), ("false", False)])
def test_tricks_are_switched_by_a_word(word, on):
    assert clrun.compose([f"device.tricks={word}"]).tricks is on


def test_tricks_are_on_by_default_everywhere():
    kinds = ("auto", "cpu", "cuda", "mps")

    assert all(clrun.compose([f"device={kind}"]).tricks for kind in kinds)


def test_rows_to_take_minibatches_from_stay_in_place_on_the_cpu():
    x = torch.arange(6, dtype=torch.uint8).view(3, 2)

    assert device().hold(x).take(torch.tensor([2, 0])).tolist() == [[4, 5], [0, 1]]


@pytest.fixture(scope="module")
def matrix_of(tmp_path_factory):
    """Overrides -> the accuracy matrix of two experiences of digits with a small network."""

    def run(*overrides: str) -> torch.Tensor:
        words = [
            *("device=cpu", "device.threads=1", "model=cnn", "model.channels=[16,16]"),
            *("strategy.optimizer=adam", "strategy.train_epochs=3"),
            *("benchmark.n_experiences=2", "strategy.lr=0.005"),
        ]
        config = clrun.compose([*words, *overrides])
        folder = tmp_path_factory.mktemp("run") / "run"
        return torch.tensor(clrun.run(config, folder).accuracy_matrix)

    return run


@pytest.fixture(scope="module")
def fp32_matrix(matrix_of):
    return matrix_of()


@pytest.mark.parametrize(
    "overrides",
    [
        ("device.precision=bf16",),
        ("device.channels_last=false",),
        ("device.precision=bf16", "device.channels_last=false", "device.deterministic=false"),
    ],
)
def test_another_way_of_computing_learns_as_well(overrides, matrix_of, fp32_matrix):
    matrix = matrix_of(*overrides)

    assert fp32_matrix[1].mean() > 0.7
    assert (matrix - fp32_matrix).abs().mean() < 0.04


def test_cublas_is_set_to_be_deterministic_before_its_first_use(kept_settings, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)

    with device(deterministic=True).applied(0):
        inside = os.environ.get("CUBLAS_WORKSPACE_CONFIG")

    assert inside == ":4096:8"


@pytest.mark.parametrize("model", ["cnn", "slim_resnet18", "mobilenet_v1"])
@pytest.mark.parametrize(
    ("change", "tolerance"),
    [({"channels_last": True}, 1e-5), ({"precision": "bf16"}, 0.05)],
    ids=["channels_last", "bf16"],
)
def test_logits_and_gradients_agree_with_fp32_in_contiguous_order(model, change, tolerance):
    shape = StreamShape(channels=3, height=32, width=32, num_classes=5, num_experiences=1)
    with isolated(0, "weights"):
        plain = build(clrun.compose([f"model={model}"]).nodes["model"], shape)
    x = torch.randn(8, 3, 32, 32, generator=generator(0, "x"))

    reference = logits_and_gradient(device(), copy.deepcopy(plain), x)
    other = logits_and_gradient(device(**change), plain, x)

    for a, b in zip(reference, other, strict=True):
        assert (a - b).norm() <= tolerance * a.norm()


def logits_and_gradient(on: Device, model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """In evaluation mode: the statistics of a few rows would magnify every difference."""
    model = on.place(model).eval()
    with on.autocast():
        logits = model(on.put(x)).float()
        loss = nn.functional.cross_entropy(logits, torch.arange(8) % 5)
    loss.backward()
    return [logits.detach(), model.output.weight.grad]
