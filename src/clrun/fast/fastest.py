"""`device=auto` on a machine with several kinds of device: the one that is measured faster.

Gain: an accelerator loses to the processor where an update is small, since each of its operations
takes microseconds to start. Cost: which device a run has depends on a file; what was measured is
remembered there, so that equal runs choose alike.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from clrun.device import processor
from clrun.device.device import Device, Kind, device_name
from clrun.disk.files import write_json
from clrun.disk.folders import user_cache
from clrun.disk.opening import read_text
from clrun.errors import StorageError
from clrun.fast.heap import kept_heap

LARGE_UPDATE = 2_000_000_000
"""Multiply-accumulates of an update from which on no accelerator loses, so none is measured: on a
CPU core that is tens of milliseconds, on an accelerator less than a millisecond of launches."""
CLEARLY = 0.8
"""The processor is chosen when an update takes at most this share of the accelerator's time:
evaluation, in larger minibatches, suits the accelerator better than training."""
UPDATES = 5
"""Updates measured after the first one; the quickest counts, as others may use the machine."""
ENOUGH = 0.2
"""Seconds after which one kind of device was measured long enough."""

Measure = Callable[[torch.device], float]
"""A function from a device to the seconds of an update on it."""


def choose(
    device: Device,
    model: nn.Module,
    image_shape: Sequence[int],
    minibatch: int,
    update_macs: int,
) -> None:
    """Let `device` be the kind that is measured faster for this model, where it may be several.

    The model is copied, and stays as it is. `update_macs` are the multiply-accumulates of one
    update on `minibatch` images of `image_shape` [C, H, W].
    """
    if not device.tricks or len(device.able) < 2 or update_macs >= LARGE_UPDATE:
        return
    images = (minibatch, *image_shape)

    def measure(kind: torch.device) -> float:
        return _seconds_on(kind, device.config, model, images, update_macs)

    key = _key(device, model, images)
    chosen, seconds = fastest(device.able, measure, key, memory_file())
    shown = ", ".join(f"{1e3 * s:.2f} ms on {d}" for d, s in seconds.items())
    device.take(chosen, f"device=auto: {chosen}. An update takes {shown}.")


def fastest(
    devices: Sequence[torch.device], measure: Measure, key: Mapping[str, Any], memory: Path
) -> tuple[torch.device, dict[str, float]]:
    """The device to take, and the seconds of an update on each of them.

    `devices` are in order of preference. `key` holds all that the seconds depend on; measurements
    are kept in the file `memory` under it.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    names = [str(device) for device in devices]
    remembered = _read(memory)
    seconds = remembered.get(digest, {})
    if list(seconds) != names:
        seconds = {str(device): measure(device) for device in devices}
        _remember(memory, {**remembered, digest: seconds})
    return devices[names.index(preferred(seconds))], seconds


def preferred(seconds: Mapping[str, float]) -> str:
    """The first name, unless another device is clearly quicker; of those the quickest."""
    first, quickest = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return quickest if seconds[quickest] <= CLEARLY * seconds[first] else first


def memory_file() -> Path:
    """Where measurements are kept."""
    return user_cache() / "fastest_device.json"


def seconds_of(update: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest of a few calls, the first left out."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) <= UPDATES and (len(times) < 2 or time.perf_counter() - begin < ENOUGH):
        start = time.perf_counter()
        update()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def an_update(model: nn.Module, x: Tensor, autocast: Callable[[], Any]) -> Callable[[], None]:
    """A function that does forward, backward and a step of descent with a model to be measured."""
    learning = [p for p in model.parameters() if p.requires_grad]

    def update() -> None:
        with autocast():
            loss = model(x).float().logsumexp(1).mean()
        gradients = torch.autograd.grad(loss, learning, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(learning, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=1e-6)

    return update


def copied(model: nn.Module) -> nn.Module:
    """A copy of the model to be measured, in evaluation mode: it draws nothing at random."""
    return copy.deepcopy(model).eval()


def _seconds_on(
    kind: torch.device,
    config: Device.Config,
    model: nn.Module,
    images: tuple[int, ...],
    update_macs: int,
) -> float:
    """Seconds of one update there, uncompiled."""
    name, index = cast(Kind, kind.type), kind.index or 0
    there = Device(replace(config, kind=name, index=index, compile=False))
    with there.applied(update_macs), kept_heap(tricks=kind.type == "cpu"):
        placed = there.place(copied(model))
        x = there.put(torch.zeros(images))
        return seconds_of(an_update(placed, x, there.autocast), kind)


def _key(device: Device, model: nn.Module, images: tuple[int, ...]) -> dict[str, Any]:
    """All that the seconds of an update depend on."""
    c = device.config
    return {
        "model": str(model),
        "learning": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "rows": list(images),
        "how": [c.precision, c.channels_last, c.deterministic, c.threads],
        "hardware": [processor.name(), torch.get_num_threads(), *map(device_name, device.able)],
        "torch": torch.__version__,
    }


def _read(memory: Path) -> dict[str, dict[str, float]]:
    """The seconds that were measured before; none where the file is not there or not ours."""
    try:
        content = json.loads(read_text(memory))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(memory: Path, seconds: Mapping[str, Mapping[str, float]]) -> None:
    """Write the file; one that cannot be written costs a measurement next time."""
    with suppress(OSError, StorageError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, seconds)
