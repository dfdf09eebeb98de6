from __future__ import annotations

import pytest
import torch
from torch import nn

from clrun.device import processor
from clrun.device.support import choose, obstacle, slowness, undetermined
from clrun.errors import ConfigError

CPU = torch.device("cpu")


def test_nothing_to_compile_with_is_told_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "theirs")

    with pytest.raises(ConfigError, match=r"^device\.compile=true: needs a C\+\+ compiler.*\.$"):
        choose("cpu", 0, "fp32", True)


def test_an_accelerator_that_cannot_compile_is_refused():
    missing = processor.missing_compiler("mps")

    assert missing == "PyTorch's compiler is unfinished for mps. Use device.compile=false"


def test_half_precision_convolutions_are_refused_on_the_cpu_alone():
    refused = obstacle("cpu", "fp16", convolves=True)

    assert str(refused).startswith("device.precision=fp16: on the CPU")
    assert "Use bf16, or fp32." in str(refused)
    assert obstacle("cpu", "fp16", convolves=False) is None
    assert obstacle("cuda", "fp16", convolves=True) is None
    assert obstacle("cpu", "bf16", convolves=True) is None


@pytest.mark.parametrize(
    ("version", "refused"), [("13.6.1", True), ("14.0", False), ("26.1", False)]
)
def test_bf16_on_an_old_macos_is_refused(monkeypatch, version, refused):
    monkeypatch.setattr("platform.mac_ver", lambda: (version, ("", "", ""), "arm64"))

    reason = obstacle("mps", "bf16")

    assert (
        reason == "device.precision=bf16: mps needs macOS 14 for it. Use fp16, or fp32."
    ) == refused
    assert obstacle("mps", "fp32") is None


@pytest.mark.parametrize(("flags", "notes"), [("avx2", 1), ("avx2 avx512_bf16", 0)])
def test_bf16_without_native_arithmetic_is_said_to_be_slower(tmp_path, monkeypatch, flags, notes):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags : {flags}\n")
    monkeypatch.setattr(processor, "CPUINFO", cpuinfo)

    lines = slowness(CPU, "bf16")

    assert len(lines) == notes
    assert all("bf16: this processor has no bfloat16 arithmetic" in line for line in lines)


def test_fp16_on_the_cpu_is_said_to_be_slower_and_fp32_needs_no_words():
    assert slowness(CPU, "fp16") == [
        "device.precision=fp16: slower than fp32 on the CPU. Use bf16, or fp32."
    ]
    assert slowness(CPU, "fp32") == []


@pytest.mark.parametrize(
    ("layer", "refused"),
    [
        (nn.AdaptiveAvgPool2d(6), True),
        (nn.AdaptiveAvgPool2d((7, 7)), True),
        (nn.AdaptiveAvgPool2d((1, 1)), False),
        (nn.AdaptiveAvgPool2d(1), False),
        (nn.AdaptiveMaxPool2d(1), True),
        (nn.MaxPool2d(2), False),
        (nn.ReflectionPad1d(1), True),
    ],
)
def test_a_layer_without_a_deterministic_gradient_is_found_before_the_run(layer, refused):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), layer)

    reason = undetermined("cuda", model)

    assert (reason is not None) == refused
    assert not refused or f"device.deterministic=true: 1 ({type(layer).__name__})" in str(reason)
    assert undetermined("cpu", model) is None
