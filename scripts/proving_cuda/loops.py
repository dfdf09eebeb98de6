"""The same updates written by hand for a device: nothing but tensors that are there already."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform

Update = Callable[[], None]


def on_images(
    model: nn.Module,
    rows: Patterns,
    transform: Transform,
    minibatch: int,
    lr: float,
    device: torch.device,
) -> Update:
    """Updates of a copy of the model on minibatches of uint8 images, drawn anew each epoch."""
    x, y = torch.as_tensor(rows.x).to(device), rows.y.to(device)
    shape = (1, -1, 1, 1)
    std = torch.tensor(transform.std, device=device).view(shape)
    scale, shift = 1 / (255 * std), torch.tensor(transform.mean, device=device).view(shape) / std
    is_convolutional = any(isinstance(m, nn.Conv2d) for m in model.modules())
    order = torch.channels_last if is_convolutional and device.type == "cpu" else None

    def inputs(chosen: Tensor) -> Tensor:
        images = x[chosen].float() * scale - shift
        return images if order is None else images.contiguous(memory_format=order)

    return _updates(model, inputs, y, minibatch, lr, device)


def on_latents(upper: nn.Module, latents: Tensor, y: Tensor, minibatch: int, lr: float) -> Update:
    """Updates of a copy of a model's upper part on minibatches of latents [N, ...]."""
    return _updates(upper, lambda chosen: latents[chosen], y, minibatch, lr, latents.device)


def _updates(
    model: nn.Module,
    inputs: Callable[[Tensor], Tensor],
    y: Tensor,
    minibatch: int,
    lr: float,
    device: torch.device,
) -> Update:
    model = copy.deepcopy(model).to(device).train()
    learning = [p for p in model.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(learning, lr=lr, momentum=0.9, fused=True)
    total = torch.zeros((), device=device)
    waiting: list[Tensor] = []

    def update() -> None:
        if not waiting:
            waiting.extend(torch.randperm(len(y), device=device).split(minibatch))
        chosen = waiting.pop()
        loss = cross_entropy(model(inputs(chosen)), y[chosen])
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        total.add_(loss.detach())

    return update
