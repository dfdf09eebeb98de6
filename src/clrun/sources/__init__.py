"""Where the images come from. Importing this imports neither torch nor any source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from clrun.sources.source import Source

SourceName = Literal[
    "digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "cifar100_coarse", "tiny_imagenet"
]

NUM_CLASSES: dict[str, int] = {
    "digits": 10,
    "mnist": 10,
    "fashion_mnist": 10,
    "cifar10": 10,
    "cifar100": 100,
    "cifar100_coarse": 20,
    "tiny_imagenet": 200,
}
"""Known without importing the sources, to check a configuration quickly."""


def _digits() -> Source:
    from clrun.sources.digits import Digits

    return Digits()


def _mnist() -> Source:
    from clrun.sources.mnist import mnist

    return mnist()


def _fashion_mnist() -> Source:
    from clrun.sources.mnist import fashion_mnist

    return fashion_mnist()


def _cifar10() -> Source:
    from clrun.sources.cifar import cifar10

    return cifar10()


def _cifar100() -> Source:
    from clrun.sources.cifar import cifar100

    return cifar100()


def _cifar100_coarse() -> Source:
    from clrun.sources.cifar import cifar100_coarse

    return cifar100_coarse()


def _tiny_imagenet() -> Source:
    from clrun.sources.tiny_imagenet import TinyImagenet

    return TinyImagenet()


SOURCES: dict[str, Callable[[], Source]] = {
    "digits": _digits,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "cifar100_coarse": _cifar100_coarse,
    "tiny_imagenet": _tiny_imagenet,
}
