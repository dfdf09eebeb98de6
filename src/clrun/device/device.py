"""Where and how a run computes: the device, its precision, threads and determinism."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from clrun.config.bounds import Count, Natural, Switch
from clrun.device import settings
from clrun.device.compiling import compiled
from clrun.device.rows import DeviceRows, Rows, hold, sent
from clrun.device.support import choose, obstacle, slowness, undetermined
from clrun.device.threads import require_few_threads
from clrun.errors import ConfigError

SMALL_UPDATE = 50_000_000
"""Multiply-accumulates of an update below which a second CPU thread only waits for the first: at
32 rows of a small MLP it costs time, and on a busy machine a lot of it."""

Kind = Literal["auto", "cpu", "cuda", "mps"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Device:
    """The device of a run. Choosing one that is not there is an error, never a silent fallback.

    What depends on the model is decided by `settle` (the kind, when `auto` has a choice) and
    `place` (the memory order, when `channels_last` is null). `able` are the devices that can do
    what is asked, the preferred one first.
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
        tricks: Switch

        def __post_init__(self) -> None:
            require_few_threads(self.threads)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.able = choose(config.kind, config.index, config.precision, config.compile)
        self.torch = self.able[0]
        self.tricks = config.tricks
        self._dtype = DTYPES.get(config.precision)
        self._is_channels_last = bool(config.channels_last)
        self._reasons: list[str] = []

    @property
    def name(self) -> str:
        """The device as a person names it."""
        return device_name(self.torch)

    def settle(self, model: nn.Module) -> None:
        """Choose the preferred device that can train this model.

        Raises:
            ConfigError: the model cannot be trained as asked on any device there is.
        """
        precision, convolves = self.config.precision, _convolves(model)
        reasons = {d: obstacle(d.type, precision, convolves=convolves) for d in self.able}
        if self.config.deterministic:
            reasons = {d: reason or undetermined(d.type, model) for d, reason in reasons.items()}
        able = [device for device, reason in reasons.items() if reason is None]
        if not able:
            raise ConfigError(reasons[self.torch] or "")
        if able[0] != self.torch:
            self._reasons.append(f"device=auto: {able[0]}. {reasons[self.torch]}")
        self.able, self.torch = able, able[0]

    def take(self, device: torch.device, reason: str) -> None:
        """Choose another one of those that are able, for a reason that a person is shown."""
        assert device in self.able, device
        self.torch = device
        self._reasons.append(reason)

    def notes(self) -> list[str]:
        """What a person should know of this choice: a line each."""
        return [*self._reasons, *slowness(self.torch, self.config.precision)]

    @contextmanager
    def applied(self, update_macs: int) -> Iterator[None]:
        """Set threads, determinism and full precision for a run; put them back afterwards.

        `update_macs`: multiply-accumulates of one update, which decide whether threads pay.
        """
        with ExitStack() as stack:
            stack.enter_context(settings.threads(self.threads(update_macs)))
            stack.enter_context(settings.determinism(self.config.deterministic))
            stack.enter_context(settings.full_precision())
            if self.torch.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.torch)
            yield

    def threads(self, update_macs: int) -> int:
        """The number of CPU threads: as set, else one for small updates, else PyTorch's choice."""
        if self.config.threads is not None:
            return self.config.threads
        is_small = self.torch.type == "cpu" and update_macs < SMALL_UPDATE
        return 1 if is_small else torch.get_num_threads()

    def place(self, model: nn.Module) -> nn.Module:
        """The model on this device, in the chosen memory order; `put` keeps to it from now."""
        self._is_channels_last = self.channels_last(model)
        if self.torch.type == "mps":
            model = model.float()  # it has no float64, in which some predictors hold buffers
        model = model.to(self.torch)
        return model.to(memory_format=torch.channels_last) if self._is_channels_last else model

    def channels_last(self, model: nn.Module) -> bool:
        """Whether this model's memory order is channels last here."""
        if self.config.channels_last is None:
            return _convolves(model) and self._likes_channels_last
        return self.config.channels_last

    @property
    def _likes_channels_last(self) -> bool:
        """Whether channels last is faster: on the CPU 1.1 to 1.6 times (measured: cnn,
        slim_resnet18, mobilenet_v1 and v2; a wide resnet18 at 224 px, but at 64 px it loses 15 %);
        tensor cores want it in 16 bits."""
        half = self.config.precision != "fp32"
        return self.torch.type == "cpu" or (self.torch.type == "cuda" and half)

    def runnable(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """The model as a function for forward passes: itself, or its compiled form."""
        return compiled(model, self.torch) if self.config.compile else model

    def put(self, x: Tensor) -> Tensor:
        """Rows of images on this device, in the memory order of the model that was placed."""
        x = sent(x, self.torch)
        if self._is_channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def hold(self, rows: Rows) -> DeviceRows:
        """Rows [N, ...] to take minibatches from, kept where this device reaches them fastest."""
        return hold(rows, self.torch)

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute forward and loss in the chosen precision inside the block."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.torch.type, dtype=self._dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling, which fp16 gradients need not to underflow; switched off otherwise."""
        return torch.amp.GradScaler(self.torch.type, enabled=self.config.precision == "fp16")

    def peak_bytes(self) -> int:
        """Most memory held on an accelerator so far; 0 on the CPU, whose peak is the process's."""
        return torch.cuda.max_memory_allocated(self.torch) if self.torch.type == "cuda" else 0


def device_name(device: torch.device) -> str:
    """The device with its maker's name for it, where that is known."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _convolves(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())
