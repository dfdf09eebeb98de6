"""The features that a layer computes, as a module: images as a model is given them -> [B, d]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clrun.errors import ConfigError
from clrun.images.transforms import Transform
from clrun.models.cut import layer_graph
from clrun.models.features import head, recording, require_layer

PIXELS = "pixels"
"""The name of what is no layer: the image itself."""


class LayerFeatures(nn.Module):
    """What a layer of a model makes of images, a row of numbers for each; for None what the head is
    given.

    The model's layers up to there are its own, in evaluation mode. Where the forward pass cannot be
    traced, all of the model is called, and watched.
    """

    def __init__(self, model: nn.Module, layer_name: str | None) -> None:
        super().__init__()
        self._layer_name = layer_name
        graph = layer_graph(model, layer_name)
        self._is_traced = graph is not None
        self.layers: nn.Module = model if graph is None else graph
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if self._is_traced:
            return self.layers(x).flatten(1)
        with recording(self.layers, self._layer_name) as seen:
            self.layers(x)
        features = seen[-1]  # of a layer used twice, the last use
        assert isinstance(features, Tensor)
        return features.flatten(1)


class Pixels(nn.Module):
    """The pixels of images, in [0, 1], again from what normalising made of them.

    They were whole numbers from 0 to 255, which they are again exactly.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, transform: Transform | None = None) -> None:
        """Without a transform the statistics are to be loaded."""
        super().__init__()
        mean = [0.0] * channels if transform is None else transform.mean
        std = [1.0] * channels if transform is None else transform.std
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (((x * self.std + self.mean) * 255).round() / 255).flatten(1)


def features_of(
    model: nn.Module, layer_name: str | None, channels: int, transform: Transform | None = None
) -> nn.Module:
    """The features of a layer (`LayerFeatures`), or `Pixels` for that name."""
    if layer_name == PIXELS:
        return Pixels(channels, transform)
    return LayerFeatures(model, layer_name)


def require_features(
    model: nn.Module, layer_name: str | None, image_shape: Sequence[int], *, key: str
) -> Tensor:
    """The features of two random images [2, d], to see how many there are and of what kind.

    Raises:
        ConfigError: there is no such layer, or it gives no tensor with a row for each image; `key`
            named it.
    """
    if layer_name not in (None, PIXELS):
        require_layer(model, layer_name, key=key)
    if layer_name is None:
        head(model)  # or else it says that there is none
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0)).to(device)
    features = None
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad():
            features = features_of(model, layer_name, image_shape[0])(x)
    except (IndexError, AssertionError, AttributeError):  # never called, or with no tensor
        pass
    finally:
        for module, mode in modes:
            module.training = mode
    if features is None or len(features) != 2:
        raise ConfigError(
            f"{key}={'null' if layer_name is None else layer_name}: the layer of "
            f"{type(model).__name__} gives no tensor with a row for each image. Name another "
            f"layer, or use {PIXELS}."
        )
    return features
