"""Which devices there are, and what each of them can do: what cannot be had is refused."""

from __future__ import annotations

import platform

import torch
from torch import nn

from clrun.device.processor import computes_bf16, missing_compiler
from clrun.errors import ConfigError

PREFERENCE = ("cuda", "mps", "cpu")
"""Kinds that `auto` considers, the usually faster first."""
NO_DETERMINISTIC_GRADIENT = (
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d, nn.AvgPool3d),
    *(nn.MaxPool3d, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d),
    *(nn.ReflectionPad1d, nn.ReflectionPad3d),
    *(nn.ReplicationPad1d, nn.ReplicationPad3d),
)
"""torch.use_deterministic_algorithms names them: in the first update they would raise."""
SLOW_BF16 = "device.precision=bf16: {} has no bfloat16 arithmetic, which makes it {}. Use fp32."


def choose(kind: str, index: int, precision: str, compile: bool) -> list[torch.device]:
    """The device asked for, or for `auto` all that can do what is asked, the preferred first.

    Raises:
        ConfigError: it is not there, or cannot do it.
    """
    present = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if kind != "auto" and present[kind] == 0:
        there = ", ".join(k for k, count in present.items() if count)
        raise ConfigError(f"device={kind}: this machine has none. Available: {there}.")
    kinds = [k for k in PREFERENCE if present[k]] if kind == "auto" else [kind]
    _require_index(kinds[0], index, present[kinds[0]])
    obstacles = {k: obstacle(k, precision) or _no_compiler(k, compile) for k in kinds}
    able = [k for k in kinds if obstacles[k] is None]
    if not able:
        raise ConfigError(str(obstacles[kinds[0]]))
    return [torch.device(k) if k == "cpu" else torch.device(k, index) for k in able]


def obstacle(kind: str, precision: str, *, convolves: bool = False) -> str | None:
    """Why such a device cannot train in this precision; None if it can.

    `convolves`: the model has convolutions.
    """
    if kind == "cpu" and precision == "fp16" and convolves:
        return (
            "device.precision=fp16: on the CPU a convolution's backward pass takes some 200 times "
            "as long as in fp32. Use bf16, or fp32."
        )
    if kind == "mps" and precision == "bf16" and _macos() < 14:
        return "device.precision=bf16: mps needs macOS 14 for it. Use fp16, or fp32."
    return None


def undetermined(kind: str, model: nn.Module) -> str | None:
    """Why no run with this model is deterministic on such a device; None if one can be."""
    if kind != "cuda":
        return None
    for name, layer in model.named_modules():
        if isinstance(layer, NO_DETERMINISTIC_GRADIENT) and not _is_a_mean(layer):
            return (
                f"device.deterministic=true: {name} ({type(layer).__name__}) has no deterministic "
                "backward pass on cuda. Use device.deterministic=false, or device=cpu."
            )
    return None


def _is_a_mean(layer: nn.Module) -> bool:
    """Whether it pools to one place, which PyTorch computes as a mean."""
    size = getattr(layer, "output_size", None)
    pools_by_mean = isinstance(layer, nn.AdaptiveAvgPool2d)
    return pools_by_mean and (size == 1 or (isinstance(size, tuple) and set(size) == {1}))


def slowness(device: torch.device, precision: str) -> list[str]:
    """A line where this precision works and is slower than fp32."""
    if precision == "bf16" and device.type == "cpu" and not computes_bf16():
        return [SLOW_BF16.format("this processor", "many times slower (21 times, measured)")]
    if precision == "bf16" and device.type == "cuda" and not _gpu_computes_bf16(device):
        return [SLOW_BF16.format("this GPU", "slower").replace("fp32", "fp16, or fp32")]
    if precision == "fp16" and device.type == "cpu":
        return ["device.precision=fp16: slower than fp32 on the CPU. Use bf16, or fp32."]
    return []


def _macos() -> int:
    """The system's major version; 0 where it is not macOS."""
    return int(platform.mac_ver()[0].partition(".")[0] or 0)


def _gpu_computes_bf16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def _no_compiler(kind: str, compile: bool) -> str | None:
    missing = missing_compiler(kind) if compile else None
    return missing and f"device.compile=true: {missing}."


def _require_index(kind: str, index: int, count: int) -> None:
    if index >= count:
        raise ConfigError(f"device.index={index}: the highest {kind} index is {count - 1}.")
