"""Normalise and augment uint8 images a batch at a time, with a random choice for each image.

torchvision's v2 transforms draw one flip and one crop for a whole batch; these do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, interpolate, pad

from clrun.device.rows import sent
from clrun.images.augment import (
    GREYED,
    JITTER,
    JITTERED,
    WINDOW_AREA,
    WINDOW_RATIO,
    AugmentPolicy,
)
from clrun.images.color import greyed, jittered
from clrun.images.download import Progress

PixelStatistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each channel, pixels in [0, 1]."""
IMAGENET: PixelStatistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's training images, which its published weights want."""

PIECE_BYTES = 64 << 20
"""Bytes of images that are resized together."""
SOON_DONE = 512 << 20
"""Bytes of images that are resized in a few seconds."""


@dataclass(frozen=True, eq=False)
class Draws:
    """The random decisions of n augmentations; None where the policy does not ask for them."""

    flip: Tensor | None
    """[n] bool"""
    place: Tensor | None
    """[n, 2] float32 in [0, 1): the crop's row and column, as shares of the room there is"""
    color: Tensor | None = None
    """[n, 4] float32 in [-1, 1): brightness, contrast, saturation and hue, as shares of how far
    each may go"""
    window: Tensor | None = None
    """[n, 4] float32 in [0, 1): the area and ratio of a window, between their bounds, and its row
    and column, as shares of the room there is"""
    grey: Tensor | None = None
    """[n] bool"""

    def __getitem__(self, index: Tensor | slice) -> Draws:
        """The decisions of the chosen samples."""
        return self._each(lambda decisions: decisions[index])

    def to(self, device: torch.device | str) -> Draws:
        """The same decisions on another device; worth doing once an epoch, not once a batch."""
        return self._each(lambda decisions: sent(decisions, device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Draws:
        every = (self.flip, self.place, self.color, self.window, self.grey)
        return Draws(*(None if each is None else change(each) for each in every))


@dataclass(frozen=True)
class Transform:
    """Turns stored uint8 images into what the model sees, computed where the images are."""

    mean: tuple[float, ...]
    """the mean of each channel, pixels in [0, 1]"""
    std: tuple[float, ...]
    augment: AugmentPolicy
    """`none` says that training sees what evaluation sees; never `auto`"""
    jitter: tuple[float, ...] = JITTER
    """How far brightness, contrast, saturation and hue go; read where `augment` says jitter."""

    def evaluation(self, x: Tensor) -> Tensor:
        """(x / 255 - mean) / std. [B, C, H, W] uint8 -> float32"""
        assert x.dtype == torch.uint8, x.dtype
        assert x.shape[1] == len(self.mean), x.shape
        return self._normalised(x.to(torch.float32))

    def training(self, x: Tensor, draws: Draws | None) -> Tensor:
        """Augmented as `draws` says, then as `evaluation`. [B, C, H, W] uint8 -> float32

        A crop may reach over the border by an eighth of the side, where it sees black, the usual
        4 pixels at 32 (He et al. 2016, https://arxiv.org/abs/1512.03385, section 4.2). A window
        is enlarged to the image's size. Colours change last (`color.jittered`), some to grey.
        """
        if draws is not None:
            draws = draws.to(x.device)
            if draws.place is not None:
                x = _crop(x, draws.place)
            if draws.window is not None:
                x = _enlarged(x, draws.window)
            if draws.flip is not None:
                x = torch.where(draws.flip[:, None, None, None], x.flip(3), x)
            if draws.color is not None:
                colored = jittered(x / 255, draws.color, self.jitter)
                if draws.grey is not None:
                    colored = greyed(colored, draws.grey)
                return self._normalised(colored * 255)
        return self.evaluation(x)

    def draw(self, n: int, rng: Generator) -> Draws | None:
        """The decisions for n samples, all of an epoch at once; None where nothing is random.

        Sample i's decision is a function of (generator, n, i) alone, whatever the batches are.
        """
        if self.augment == "none":
            return None
        if self.augment == "contrastive":
            return _view_draws(n, rng)
        flips, crops = "flip" in self.augment, "crop" in self.augment
        return Draws(
            torch.randint(2, (n,), generator=rng).bool() if flips else None,
            torch.rand(n, 2, generator=rng) if crops else None,
            torch.rand(n, 4, generator=rng) * 2 - 1 if "jitter" in self.augment else None,
        )

    def scale_and_shift(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """What normalising multiplies pixels from 0 to 255 with and then adds, [C, 1, 1] each."""
        return _scale_and_shift(self.mean, self.std, device)

    def _normalised(self, x: Tensor) -> Tensor:
        """Normalise pixels from 0 to 255, in place."""
        scale, shift = self.scale_and_shift(x.device)
        return x.mul_(scale).add_(shift)


def resize(x: Tensor, side: int, on_progress: Progress | None = None) -> Tensor:
    """Bilinear, antialiased. [N, C, H, W] uint8 -> [N, C, side, side] uint8

    `on_progress` is called where it takes long.
    """
    if x.shape[2:] == (side, side):
        return x
    resized = x.new_empty(*x.shape[:2], side, side)
    piece = max(1, min(1024, PIECE_BYTES // (x.shape[1] * side**2)))  # bounds the peak
    done = 0
    for source, target in zip(x.split(piece), resized.split(piece), strict=True):
        target.copy_(interpolate(source, (side, side), mode="bilinear", antialias=True))
        done += len(source)
        if on_progress and resized.nbytes > SOON_DONE:
            on_progress(f"resizing to {side}x{side}", done, len(x), unit="images")
    return resized


def _crop(x: Tensor, place: Tensor) -> Tensor:
    """A window of the image's own size out of the zero-padded image, another for each image."""
    height, width = x.shape[2:]
    up, left = round(height / 8), round(width / 8)
    room = _room(up, left, x.device)
    row, column = (place * room).long().minimum(room - 1).unbind(1)  # rounding may reach the room
    windows = pad(x, (left, left, up, up)).unfold(2, height, 1).unfold(3, width, 1)  # a view
    return windows[torch.arange(len(x), device=x.device), :, row, column]


def _view_draws(n: int, rng: Generator) -> Draws:
    """The decisions of n contrastive views."""
    chances = torch.rand(n, 7, generator=rng)
    flip, is_jittered, is_grey = chances[:, :3].unbind(1)
    color = torch.rand(n, 4, generator=rng) * 2 - 1
    return Draws(
        flip=flip < 0.5,
        place=None,
        color=color * (is_jittered < JITTERED)[:, None],  # 0 changes nothing
        window=chances[:, 3:],
        grey=is_grey < GREYED,
    )


def _enlarged(x: Tensor, window: Tensor) -> Tensor:
    """Windows of the images, each enlarged to the whole image's size: bilinear, between whole
    pixels, a side no longer than the image's. [B, C, H, W] uint8 -> float32"""
    height, width = x.shape[2:]
    low, high = WINDOW_AREA
    area = (low + window[:, 0] * (high - low)) * (height * width)
    lowest, highest = map(math.log, WINDOW_RATIO)
    ratio = (lowest + window[:, 1] * (highest - lowest)).exp()
    rows = _places((area / ratio).sqrt(), window[:, 2], height)
    columns = _places((area * ratio).sqrt(), window[:, 3], width)
    shape = (len(x), height, width)
    grid = torch.stack([columns[:, None].expand(shape), rows[:, :, None].expand(shape)], dim=3)
    return grid_sample(x.float(), grid, padding_mode="border", align_corners=False)


def _places(length: Tensor, place: Tensor, side: int) -> Tensor:
    """Where each pixel of a window's enlargement lies in a side, from -1 to 1. [B] -> [B, side]"""
    length = length.round().clamp(1, side)
    first = (place * (side - length + 1)).floor().minimum(side - length)  # rounding may reach it
    pixel = torch.arange(side, device=place.device) + 0.5
    within = (pixel * length[:, None] / side).clamp(min=0.5).minimum(length[:, None] - 0.5)
    return (first[:, None] + within) * 2 / side - 1


@lru_cache(maxsize=16)
def _room(up: int, left: int, device: torch.device) -> Tensor:
    """[2] int64, how many places there are; kept, since copying them makes a GPU wait."""
    with torch.inference_mode(False):
        return torch.tensor([2 * up + 1, 2 * left + 1], device=device)


@lru_cache(maxsize=16)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """[C, 1, 1] each; kept, since copying them to a GPU for each batch would cost."""
    with torch.inference_mode(False):  # kept tensors must serve training as well
        deviation = torch.tensor(std, dtype=torch.float64)
        scale = 1 / (255 * deviation)
        shift = -torch.tensor(mean, dtype=torch.float64) / deviation
        return tuple(  # type: ignore[return-value]
            value.to(torch.float32).view(-1, 1, 1).to(device) for value in (scale, shift)
        )
