from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from clrun.fast import pointwise
from clrun.fast.pointwise import Conv2d, _Pointwise, set_products
from clrun.models.mobilenet_v1 import MobilenetV1


def pair(channels: int = 512, wider: int = 512, **options) -> tuple[Conv2d, nn.Conv2d]:
    """One of ours and PyTorch's, with the same weights in channels last."""
    ours = Conv2d(channels, wider, 1, bias=False, **options)
    theirs = nn.Conv2d(channels, wider, 1, bias=False, **options)
    theirs.load_state_dict(ours.state_dict())
    for layer in (ours, theirs):
        layer.to(memory_format=torch.channels_last)
    return ours, theirs


def images(channels: int = 512) -> Tensor:
    x = torch.randn(5, channels, 3, 2, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def own_backward(y: Tensor) -> bool:
    return type(y.grad_fn).__name__ == f"{_Pointwise.__name__}Backward"


def gradients(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """The gradients of images and weights, for a loss that weighs each output differently."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    loss = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum()
    return [y.detach(), *torch.autograd.grad(loss, [x, *layer.parameters()])]


def test_outputs_and_gradients_are_those_of_pytorch():
    ours, theirs = pair(wider=768)

    assert_close(gradients(ours, images()), gradients(theirs, images()), rtol=1e-5, atol=1e-5)
    assert own_backward(ours(images()))


def test_images_that_need_no_gradient_get_none(monkeypatch):
    ours, theirs = pair()
    monkeypatch.setattr(pointwise, "_input_gradient", None)  # it is not asked for

    for layer in (ours, theirs):
        layer(images()).square().sum().backward()

    assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-5, atol=1e-4)


def test_a_frozen_weight_passes_gradients_on_and_gets_none():
    ours, theirs = pair()
    inputs = [images().requires_grad_() for _ in range(2)]

    for layer, x in zip((ours, theirs), inputs, strict=True):
        layer.requires_grad_(False)(x).square().sum().backward()

    assert ours.weight.grad is None
    assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"channels": 256}, "few weights"),
        ({"stride": 2}, "a stride"),
        ({"padding": 1}, "padding"),
        ({"channels": 1024, "groups": 2}, "groups"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_convolutions_are_pytorch_s_own(options, reason):
    ours, theirs = pair(**options)
    x = images(options.get("channels", 512))

    assert not own_backward(ours(x)), reason
    assert_close(gradients(ours, x), gradients(theirs, x), rtol=0, atol=0)


def test_so_are_images_in_the_other_memory_order_and_reduced_precision():
    ours, _ = pair()

    assert not own_backward(ours(images().contiguous()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not own_backward(ours(images()))


def test_mobilenet_learns_through_it():
    model = MobilenetV1(3).to(memory_format=torch.channels_last)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]

    own = [layer for layer in layers if own_backward(layer(images(layer.in_channels)))]

    assert [(layer.in_channels, layer.out_channels) for layer in own] == [
        *[(512, 512)] * 5,
        (512, 1024),
        (1024, 1024),
    ]


def test_without_tricks_all_convolutions_are_pytorch_s_own_and_with_them_again_ours():
    ours, theirs = pair()
    model = nn.Sequential(ours)

    set_products(model, tricks=False)
    without = own_backward(ours(images()))
    same = [gradients(layer, images()) for layer in (ours, theirs)]
    set_products(model, tricks=True)

    assert (without, own_backward(ours(images()))) == (False, True)
    assert_close(*same, rtol=0, atol=0)
