"""Where and how a run computes: the device, its precision, threads and determinism."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from clrun.config.bounds import Count, Natural
from clrun.errors import ConfigError

SMALL_UPDATE = 50_000_000
"""Multiply-accumulates of an update below which a second CPU thread only waits for the first: at
32 rows of a small MLP it costs time, and on a busy machine a lot of it."""

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Device:
    """The device of a run. Choosing one that is not there is an error, never a silent fallback."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        kind: Literal["auto", "cpu", "cuda", "mps"]
        index: Natural
        precision: Literal["fp32", "bf16", "fp16"]
        channels_last: bool
        compile: bool
        threads: Count | None
        deterministic: bool

    def __init__(self, config: Config) -> None:
        self.config = config
        self.torch = _choose(config)
        self._dtype = DTYPES.get(config.precision)

    @property
    def name(self) -> str:
        """The device as a person names it."""
        if self.torch.type == "cuda":
            return f"{self.torch} ({torch.cuda.get_device_name(self.torch)})"
        return str(self.torch)

    @contextmanager
    def applied(self, update_macs: int) -> Iterator[None]:
        """Thread count and determinism for the time of a run; put back as they were afterwards.

        `update_macs`: multiply-accumulates of one update, which decide whether threads pay.
        """
        threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
        torch.set_num_threads(self.threads(update_macs))
        if self.torch.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.torch)
        if self.config.deterministic:
            # cuBLAS is deterministic only with this, read when its first handle is made
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.set_deterministic_debug_mode("error")
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_deterministic_debug_mode(mode)

    def threads(self, update_macs: int) -> int:
        """CPU threads: as asked for, else one for small updates, else PyTorch's choice."""
        if self.config.threads is not None:
            return self.config.threads
        is_small = self.torch.type == "cpu" and update_macs < SMALL_UPDATE
        return 1 if is_small else torch.get_num_threads()

    def place(self, model: nn.Module) -> nn.Module:
        """The model on this device, in the memory order asked for."""
        model = model.to(self.torch)
        if self.config.channels_last:
            model = model.to(memory_format=torch.channels_last)
        return model

    def runnable(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """What to call for a forward pass: the model, or its compiled form."""
        return cast(
            Callable[[Tensor], Tensor], torch.compile(model) if self.config.compile else model
        )

    def put(self, x: Tensor) -> Tensor:
        """Rows of images on this device, in the memory order asked for."""
        x = x.to(self.torch, non_blocking=True)
        if self.config.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def autocast(self) -> AbstractContextManager[Any]:
        """Forward and loss in the chosen precision."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.torch.type, dtype=self._dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling, which fp16 gradients need not to underflow; switched off otherwise."""
        return torch.amp.GradScaler(self.torch.type, enabled=self.config.precision == "fp16")

    def peak_bytes(self) -> int:
        """Most memory held on an accelerator so far; 0 on the CPU, whose peak is the process's."""
        return torch.cuda.max_memory_allocated(self.torch) if self.torch.type == "cuda" else 0


def _choose(config: Device.Config) -> torch.device:
    present = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    kind = config.kind
    if kind == "auto":
        kind = next(k for k in ("cuda", "mps", "cpu") if present[k])
    if present[kind] == 0:
        there = ", ".join(k for k, count in present.items() if count)
        raise ConfigError(f"device={kind}: this machine has none. Available: {there}.")
    if config.index >= present[kind]:
        highest = present[kind] - 1
        raise ConfigError(f"device.index={config.index}: the highest {kind} index is {highest}.")
    return torch.device("cpu") if kind == "cpu" else torch.device(kind, config.index)
