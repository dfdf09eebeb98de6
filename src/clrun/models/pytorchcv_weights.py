"""ImageNet weights of MobileNetV1: those that the package pytorchcv publishes as mobilenet_w1."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from zipfile import BadZipFile

import torch
from torch import Tensor

from clrun.errors import ConfigError

STAGES = (1, 2, 2, 6, 2)
"""Depthwise separable blocks of each stage."""
OUT_OF_REACH = (OSError, RuntimeError, ValueError, EOFError, BadZipFile, AttributeError)
"""What pytorchcv raises when it cannot download: no network, refused, damaged, no `requests`."""


def imagenet_weights(layers: Sequence[str], *, in_channels: int) -> dict[str, Tensor]:
    """State dict of the 27 convolutional layers, called `layers`; downloaded once, head left out.

    Grey images get the sum over the colours, which is to show the network three equal ones.

    Raises:
        ConfigError: pytorchcv is not installed or cannot download, or images are not of 1 or 3
            channels.
    """
    if in_channels not in (1, 3):
        raise ConfigError(
            f"model.pretrained=true: published weights are for 3 channels (or 1), and images here "
            f"have {in_channels}. Use model.pretrained=false."
        )
    weights = renamed(_published(), layers)
    first = f"{layers[0]}.conv.weight"
    if in_channels == 1:
        weights[first] = weights[first].sum(1, keepdim=True)
    return weights


def renamed(state: Mapping[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
    """pytorchcv's state dict with our names, without the classifier.

    Raises:
        ConfigError: it has other tensors than it should.
    """
    theirs = ["features.init_block"]
    for stage, units in enumerate(STAGES, start=1):
        for unit in range(1, units + 1):
            block = f"features.stage{stage}.unit{unit}"
            theirs += [f"{block}.dw_conv", f"{block}.pw_conv"]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    tensors = ["conv.weight", *(f"bn.{name}" for name in norm)]
    names = {
        f"{their}.{tensor}": f"{our}.{tensor}"
        for their, our in zip(theirs, layers, strict=False)  # ours end with a pooling layer
        for tensor in tensors
    }
    strange = {name for name in state if not name.startswith("output.")} ^ set(names)
    if strange:
        raise ConfigError(
            f"model.pretrained=true: this version of pytorchcv names {len(strange)} tensors "
            f"otherwise, such as {min(strange)}. Use pytorchcv 0.0.74."
        )
    return {our: state[their] for their, our in names.items()}


def _published() -> dict[str, Tensor]:
    try:
        from pytorchcv.models.mobilenet import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            mobilenet_w1,
        )
    except ImportError as error:
        raise ConfigError(
            "model.pretrained=true: needs the package pytorchcv. Use pip install "
            "'clrun[pretrained]', a file of weights, or model.pretrained=false."
        ) from error
    folder = Path(torch.hub.get_dir()) / "checkpoints"  # where TORCH_HOME says
    try:
        with redirect_stdout(io.StringIO()):  # it prints each attempt
            network = mobilenet_w1(pretrained=True, root=str(folder))
    except OUT_OF_REACH as error:
        raise ConfigError(
            f"model.pretrained=true: mobilenet_w1-*.pth is neither in {folder} nor to be had "
            f"({type(error).__name__}). Put it there, set TORCH_HOME, or use "
            "model.pretrained=false."
        ) from error
    state: dict[str, Tensor] = network.state_dict()
    return state
