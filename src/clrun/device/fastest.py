"""`device=auto` on a machine with several kinds of device: the one that is measured faster.

An accelerator loses to the processor where an update is small, since each of its operations takes
microseconds to start. What was measured is remembered, so that equal runs choose alike.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clrun.disk.files import write_json
from clrun.disk.folders import user_cache
from clrun.errors import StorageError

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
"""Seconds of an update on a device."""


def fastest(
    devices: Sequence[torch.device], measure: Measure, key: Mapping[str, Any], memory: Path
) -> tuple[torch.device, dict[str, float]]:
    """The device to take, and what an update takes on each of them, in seconds.

    `devices` are in order of preference. `key` tells all that the seconds depend on; measurements
    are kept in the file `memory` under it.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    names = [str(device) for device in devices]
    remembered = _read(memory)
    seconds = remembered.get(digest, {})
    if list(seconds) != names:
        seconds = {str(device): measure(device) for device in devices}
        _remember(memory, {**remembered, digest: seconds})
    return devices[names.index(chosen(seconds))], seconds


def chosen(seconds: Mapping[str, float]) -> str:
    """The first, unless another is clearly quicker; of those the quickest."""
    first, quickest = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return quickest if seconds[quickest] <= CLEARLY * seconds[first] else first


def memory_file() -> Path:
    """Where measurements are kept."""
    return user_cache() / "fastest_device.json"


def seconds_of(update: Callable[[], object], device: torch.device) -> float:
    """Of the quickest of a few calls, the first left out."""
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
    """Forward, backward and a step of descent; the model is for measuring alone."""
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
    """A copy to be measured: in evaluation mode, so that it draws nothing at random."""
    return copy.deepcopy(model).eval()


def _read(memory: Path) -> dict[str, dict[str, float]]:
    """What was measured before; nothing where the file is not there or not ours."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(memory: Path, seconds: Mapping[str, Mapping[str, float]]) -> None:
    """Write the file; one that cannot be written costs a measurement next time."""
    with suppress(OSError, StorageError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, seconds)
