"""Where and how a run computes: the device, its precision, threads and determinism."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from clrun.config.bounds import Count, Natural
from clrun.device import fastest, processor, settings
from clrun.device.compiling import compiled
from clrun.device.heap import kept_heap
from clrun.device.rows import DeviceRows, Rows, hold
from clrun.device.support import choose, obstacle, slowness
from clrun.errors import ConfigError

SMALL_UPDATE = 50_000_000
"""Multiply-accumulates of an update below which a second CPU thread only waits for the first: at
32 rows of a small MLP it costs time, and on a busy machine a lot of it."""

Kind = Literal["auto", "cpu", "cuda", "mps"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Device:
    """The device of a run. Choosing one that is not there is an error, never a silent fallback.

    What depends on the model is decided by `settle` (the kind, when `auto` has a choice) and
    `place` (the memory order, when `channels_last` is null).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        kind: Kind
        index: Natural
        precision: Literal["fp32", "bf16", "fp16"]
        channels_last: bool | None
        compile: bool
        threads: Count | None
        deterministic: bool

    def __init__(self, config: Config) -> None:
        self.config = config
        self._able = choose(config.kind, config.index, config.precision, config.compile)
        self.torch = self._able[0]
        self._dtype = DTYPES.get(config.precision)
        self._is_channels_last = bool(config.channels_last)
        self._seconds: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The device as a person names it."""
        return _name(self.torch)

    def settle(
        self, model: nn.Module, image_shape: Sequence[int], minibatch: int, update_macs: int
    ) -> None:
        """Choose for this model on the CPU, of which a copy is measured where there is a choice.

        `update_macs`: multiply-accumulates of one update on `minibatch` images.

        Raises:
            ConfigError: the model cannot be trained as asked on any device there is.
        """
        config, convolves = self.config, _convolves(model)
        reasons = {d: obstacle(d.type, config.precision, convolves=convolves) for d in self._able}
        able = [device for device, reason in reasons.items() if reason is None]
        if not able:
            raise ConfigError(reasons[self.torch] or "")
        self.torch = able[0]
        if len(able) > 1 and update_macs < fastest.LARGE_UPDATE:
            key = self._key(model, image_shape, minibatch, able)
            self.torch, self._seconds = fastest.fastest(
                able,
                lambda device: self._seconds_on(device, model, image_shape, minibatch, update_macs),
                key,
                fastest.memory_file(),
            )

    def notes(self) -> list[str]:
        """What a person should know of this choice: a line each."""
        told = slowness(self.torch, self.config.precision)
        if self._seconds:
            seconds = ", ".join(f"{1e3 * s:.2f} ms on {d}" for d, s in self._seconds.items())
            told = [f"device=auto: {self.torch}. An update takes {seconds}.", *told]
        return told

    @contextmanager
    def applied(self, update_macs: int) -> Iterator[None]:
        """Thread count, determinism and full precision for a run; put back as they were afterwards.

        `update_macs`: multiply-accumulates of one update, which decide whether threads pay.
        """
        with ExitStack() as stack:
            stack.enter_context(settings.threads(self.threads(update_macs)))
            stack.enter_context(settings.determinism(self.config.deterministic))
            stack.enter_context(settings.full_precision())
            if self.torch.type == "cpu":
                stack.enter_context(kept_heap())
            if self.torch.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.torch)
            yield

    def threads(self, update_macs: int) -> int:
        """CPU threads: as asked for, else one for small updates, else PyTorch's choice."""
        if self.config.threads is not None:
            return self.config.threads
        is_small = self.torch.type == "cpu" and update_macs < SMALL_UPDATE
        return 1 if is_small else torch.get_num_threads()

    def place(self, model: nn.Module) -> nn.Module:
        """The model on this device, in the memory order asked for; `put` keeps to it from now."""
        if self.config.channels_last is None:
            self._is_channels_last = _convolves(model) and self._likes_channels_last
        model = model.to(self.torch)
        return model.to(memory_format=torch.channels_last) if self._is_channels_last else model

    @property
    def _likes_channels_last(self) -> bool:
        """On the CPU networks train 1.1 to 1.6 times as fast in it (measured: cnn, slim_resnet18,
        mobilenet_v1 and v2; a wide resnet18 at 224 px, but at 64 px it loses 15 %); tensor cores
        want it in 16 bits."""
        half = self.config.precision != "fp32"
        return self.torch.type == "cpu" or (self.torch.type == "cuda" and half)

    def runnable(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """What to call for a forward pass: the model, or its compiled form."""
        return compiled(model, self.torch) if self.config.compile else model

    def put(self, x: Tensor) -> Tensor:
        """Rows of images on this device, in the memory order of the model that was placed."""
        x = x.to(self.torch, non_blocking=True)
        if self._is_channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def hold(self, rows: Rows) -> DeviceRows:
        """Rows [N, ...] to take minibatches from, kept where this device reaches them fastest."""
        return hold(rows, self.torch)

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

    def _seconds_on(
        self,
        device: torch.device,
        model: nn.Module,
        image_shape: Sequence[int],
        minibatch: int,
        update_macs: int,
    ) -> float:
        """Of one update there, uncompiled."""
        kind = cast(Kind, device.type)
        there = Device(replace(self.config, kind=kind, index=device.index or 0, compile=False))
        with there.applied(update_macs):
            placed = there.place(fastest.copied(model))
            x = there.put(torch.zeros(minibatch, *image_shape))
            return fastest.seconds_of(fastest.an_update(placed, x, there.autocast), device)

    def _key(
        self,
        model: nn.Module,
        image_shape: Sequence[int],
        minibatch: int,
        devices: Sequence[torch.device],
    ) -> dict[str, Any]:
        """All that the seconds of an update depend on."""
        c = self.config
        return {
            "model": str(model),
            "learning": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "rows": [minibatch, *image_shape],
            "how": [c.precision, c.channels_last, c.deterministic, c.threads],
            "hardware": [processor.name(), torch.get_num_threads(), *map(_name, devices)],
            "torch": torch.__version__,
        }


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _convolves(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())
