"""torchvision's classification sets with a published test set, and what is known of each.

Read while a configuration is checked, so nothing here imports torch or torchvision. Left out are
sets whose files torchvision does not check by MD5 (FGVCAircraft) or fetches with other packages
(PCAM), and sets without a test part (EuroSAT, Caltech101, SUN397): benchmark=folder reads those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TorchvisionName = Literal[
    "CIFAR10",
    "CIFAR100",
    "Country211",
    "DTD",
    "EMNIST_balanced",
    "EMNIST_byclass",
    "EMNIST_bymerge",
    "EMNIST_digits",
    "EMNIST_letters",
    "EMNIST_mnist",
    "FakeData",
    "FashionMNIST",
    "Flowers102",
    "Food101",
    "GTSRB",
    "Imagenette",
    "KMNIST",
    "MNIST",
    "OxfordIIITPet",
    "QMNIST",
    "RenderedSST2",
    "STL10",
    "SVHN",
    "USPS",
]


@dataclass(frozen=True, kw_only=True)
class PublishedSet:
    """How torchvision's class is called for each part, and what comes out."""

    num_classes: int
    channels: int = 3
    side: int | None = None
    """None: the images differ in size"""
    train: tuple[dict[str, Any], ...] = ({"split": "train"},)
    """Arguments of the class; the parts are put one after another."""
    test: tuple[dict[str, Any], ...] = ({"split": "test"},)
    needs: str
    """what is there, below the data folder, once the set is"""
    below: str = ""
    """folder for sets that torchvision would put next to everything else"""
    class_name: str = ""
    """the name of torchvision's class, where it is not ours"""
    first_label: int = 0


def _by_train(**more: Any) -> dict[str, Any]:
    """The arguments of classes that are called with train=True and train=False."""
    return {"train": ({"train": True, **more},), "test": ({"train": False, **more},)}


def _emnist(split: str, num_classes: int, first_label: int = 0) -> PublishedSet:
    return PublishedSet(
        num_classes=num_classes,
        channels=1,
        side=28,
        needs="EMNIST/raw",
        class_name="EMNIST",
        first_label=first_label,
        **_by_train(split=split),
    )


def _grey(folder: str) -> PublishedSet:
    return PublishedSet(num_classes=10, channels=1, side=28, needs=f"{folder}/raw", **_by_train())


_TRAIN_AND_VAL = ({"split": "train"}, {"split": "val"})

SETS: dict[str, PublishedSet] = {
    "CIFAR10": PublishedSet(num_classes=10, side=32, needs="cifar-10-batches-py", **_by_train()),
    "CIFAR100": PublishedSet(num_classes=100, side=32, needs="cifar-100-python", **_by_train()),
    "Country211": PublishedSet(
        num_classes=211, train=({"split": "train"}, {"split": "valid"}), needs="country211"
    ),
    "DTD": PublishedSet(num_classes=47, train=_TRAIN_AND_VAL, needs="dtd/dtd"),
    "EMNIST_balanced": _emnist("balanced", 47),
    "EMNIST_byclass": _emnist("byclass", 62),
    "EMNIST_bymerge": _emnist("bymerge", 47),
    "EMNIST_digits": _emnist("digits", 10),
    "EMNIST_letters": _emnist("letters", 26, first_label=1),
    "EMNIST_mnist": _emnist("mnist", 10),
    "FakeData": PublishedSet(
        num_classes=10,
        side=32,
        train=({"size": 200, "image_size": (3, 32, 32)},),
        test=({"size": 100, "image_size": (3, 32, 32), "random_offset": 1000},),
        needs="",
    ),
    "FashionMNIST": _grey("FashionMNIST"),
    "Flowers102": PublishedSet(num_classes=102, train=_TRAIN_AND_VAL, needs="flowers-102/jpg"),
    "Food101": PublishedSet(num_classes=101, needs="food-101/images"),
    "GTSRB": PublishedSet(num_classes=43, needs="gtsrb/GTSRB"),
    "Imagenette": PublishedSet(
        num_classes=10,
        train=({"split": "train", "size": "160px"},),
        test=({"split": "val", "size": "160px"},),
        needs="imagenette2-160",
    ),
    "KMNIST": _grey("KMNIST"),
    "MNIST": _grey("MNIST"),
    "OxfordIIITPet": PublishedSet(
        num_classes=37, train=({"split": "trainval"},), needs="oxford-iiit-pet/images"
    ),
    "QMNIST": _grey("QMNIST"),
    "RenderedSST2": PublishedSet(num_classes=2, train=_TRAIN_AND_VAL, needs="rendered-sst2"),
    "STL10": PublishedSet(num_classes=10, side=96, needs="stl10_binary"),
    "SVHN": PublishedSet(num_classes=10, side=32, needs="train_32x32.mat", below="SVHN"),
    "USPS": PublishedSet(
        num_classes=10, channels=1, side=16, needs="usps.bz2", below="USPS", **_by_train()
    ),
}
