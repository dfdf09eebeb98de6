"""Any of torchvision's image classifiers, with a head for the stream's classes.

Importing this module imports torchvision; a configuration is checked without either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum
from torchvision.ops import StochasticDepth

from clrun.config.bounds import FilePath, Positive
from clrun.errors import ConfigError, did_you_mean
from clrun.images.transforms import PixelStatistics
from clrun.models.cosine_head import head_layer
from clrun.models.dropout import SeededDropout
from clrun.models.features import head
from clrun.models.head_keys import Head
from clrun.models.layers import BatchNorm2d
from clrun.models.pretrained import shown_in_grey
from clrun.models.published import published_state
from clrun.models.shapes import output_shape
from clrun.models.state_files import DAMAGED, KEY
from clrun.models.weights import (
    are_weights_left_out,
    check_values,
    load_pretrained,
    origin,
    remember_origin,
)
from clrun.streams.experience import StreamShape


class TorchvisionModel(nn.Module):
    """The classifier `arch` of torchvision as `network`: [B, C, H, W] -> [B, num_classes] logits.

    Its last linear layer is replaced by one for the stream's classes; grey images are shown as
    three equal channels. Dropout and stochastic depth draw from the run's seeds, and a minibatch
    of one row can be learnt. `pretrained: true` means torchvision's IMAGENET1K_V1 weights where
    there are such, else its default ones; a name of its weights means those.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        arch: str
        pretrained: bool | FilePath
        head: Head = "linear"
        head_scale: Positive = 10.0

    def __init__(self, config: Config, shape: StreamShape) -> None:
        super().__init__()
        _require_arch(config.arch)
        weights = _published_weights(config)
        self.pixel_statistics = _pixel_statistics(weights, shape.channels)
        """of the images that published weights were trained with; None: there are none"""
        self.repeat = {1: 3, 3: 1}.get(shape.channels, 0)
        if not self.repeat:
            raise ConfigError(
                f"model.arch={config.arch}: takes images of 1 or 3 channels, and here they have "
                f"{shape.channels}. Use another model."
            )
        self.network = _network(config.arch, weights)
        self.weights_from = origin(self.network)
        name, old = head(self.network)
        has_bias = old.bias is not None
        new = head_layer(config, old.in_features, shape.num_classes, bias=has_bias)
        self.network.set_submodule(name, new)
        _require_fit(self, config.arch, shape)
        if weights is None:
            load_pretrained(self, config.pretrained)

    def forward(self, x: Tensor) -> Tensor:
        if self.repeat > 1:
            x = x.expand(-1, self.repeat, -1, -1)
        logits: Tensor = self.network(x)
        return logits


def _require_arch(arch: str) -> None:
    known = models.list_models(module=models)
    if arch not in known:
        raise ConfigError(
            f"model.arch={arch}: torchvision has no such classifier.{did_you_mean(arch, known)} "
            f"Its classifiers: {', '.join(known)}."
        )


def _published_weights(config: TorchvisionModel.Config) -> WeightsEnum | None:
    """torchvision's weights that `pretrained` names; None where it is false or a path."""
    named = models.get_model_weights(config.arch).__members__
    if config.pretrained is True:
        return named.get("IMAGENET1K_V1", named["DEFAULT"])
    return named.get(config.pretrained) if isinstance(config.pretrained, str) else None


def _pixel_statistics(weights: WeightsEnum | None, channels: int) -> PixelStatistics | None:
    if weights is None:
        return None
    wanted = weights.transforms()
    return shown_in_grey((tuple(wanted.mean), tuple(wanted.std)), channels)


def _network(arch: str, weights: WeightsEnum | None) -> nn.Module:
    """torchvision's network without auxiliary heads, its layers exchanged for ours."""
    network = _initialised(arch) if weights is None else _pretrained(arch, weights)
    for auxiliary in AUXILIARY & {name for name, _ in network.named_children()}:
        setattr(network, auxiliary, None)
        network.aux_logits = False  # type: ignore[assignment]  # else training gives a tuple
    for name, layer in list(network.named_modules()):
        exchange = EXCHANGED.get(type(layer))
        if exchange is not None:
            network.set_submodule(name, exchange(layer))
    return network


def _initialised(arch: str) -> nn.Module:
    """The network with random weights: two of them warn unless asked for those, slowly."""
    slow = arch in ("googlenet", "inception_v3")
    network: nn.Module = models.get_model(arch, **({"init_weights": False} if slow else {}))
    return network


def _pretrained(arch: str, weights: WeightsEnum) -> nn.Module:
    """torchvision's network with its published weights.

    torchvision's function renames some and chooses sizes by them, and would load them itself, by
    unpickling; so it is given what we have read.
    """
    if are_weights_left_out():
        network = _initialised(arch)
        if hasattr(network, "transform_input"):  # its weights want other pixels
            network.transform_input = True  # type: ignore[assignment]
        return network
    file = published_state(weights.url, weights.name)
    with _read_already(weights, file.state):
        try:
            network = models.get_model(arch, weights=weights, progress=False)
        except DAMAGED as error:
            raise ConfigError(
                f"{KEY}={weights.name}: {file.path} does not fit {arch} "
                f"({str(error).splitlines()[0]}). Delete it, and it is downloaded again."
            ) from error
    check_values(network, network.state_dict(), f"{KEY}={weights.name}: {file.path}")
    remember_origin(network, file.path, file.sha256)
    return network


@contextmanager
def _read_already(weights: WeightsEnum, state: Mapping[str, Any]) -> Iterator[None]:
    """Let `weights` give this state dict, and neither download nor load one."""
    asked = []

    def given(*_: Any, **__: Any) -> Mapping[str, Any]:
        asked.append(True)
        return state

    weights.get_state_dict = given
    try:
        yield
    finally:
        del weights.get_state_dict
    assert asked, "torchvision has another way to its weights"


def _require_fit(model: TorchvisionModel, arch: str, shape: StreamShape) -> None:
    """Refuse images that the network cannot take before anything is trained."""
    size = f"{shape.height}x{shape.width}"
    try:
        output_shape(model, (shape.channels, shape.height, shape.width))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"model.arch={arch}: takes no images of {size} ({str(error).splitlines()[0]}). "
            "Use another benchmark.image_size or model.arch."
        ) from error


def _batch_norm(layer: nn.BatchNorm2d) -> BatchNorm2d:
    ours = BatchNorm2d(
        *(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    )
    ours.load_state_dict(layer.state_dict())
    return ours


AUXILIARY = {"aux1", "aux2", "AuxLogits"}
"""Heads at half height, of GoogLeNet and Inception, for training alone."""
EXCHANGED: dict[type, Callable[..., nn.Module]] = {
    nn.BatchNorm2d: _batch_norm,
    nn.Dropout: lambda layer: SeededDropout(layer.p),
    StochasticDepth: lambda layer: SeededDropout(layer.p, per_row=True),
}
"""What takes the place of a layer of exactly this type."""
