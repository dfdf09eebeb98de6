import json
from dataclasses import replace
from pathlib import Path
from typing import get_args
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from clrun.errors import ConfigError
from clrun.images.download import DownloadError
from clrun.sources.source import SourceData
from clrun.sources.torchvision_sets import SETS, TorchvisionName
from clrun.sources.torchvision_source import TorchvisionImages, _files_and_labels


@pytest.fixture(autouse=True)
def cache_in(tmp_path, monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


def idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.array(array.shape, ">i4").tobytes()
    path.write_bytes(bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes())


def image(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (grey, grey, grey)).save(path)


def source_of(name: TorchvisionName, image_size: int | None = None) -> TorchvisionImages:
    return TorchvisionImages(TorchvisionImages.Config(dataset=name, image_size=image_size))


def load(name: TorchvisionName, root: Path, image_size: int | None = None) -> SourceData:
    source = source_of(name, image_size)
    source.check(root, download=False)
    return source.load(root, download=False)


def greys(x: torch.Tensor) -> list[int]:
    return x.index_select(0, torch.arange(len(x)))[:, 0, 0, 0].tolist()


def test_every_set_is_one_of_torchvisions_and_can_be_called_so():
    assert set(SETS) == set(get_args(TorchvisionName))
    for name, published in SETS.items():
        cls = getattr(datasets, published.class_name or name)
        assert issubclass(cls, datasets.VisionDataset)


def test_sets_of_the_mnist_family_are_read_from_their_files(tmp_path):
    for part, count in (("train", 4), ("t10k", 2)):
        y = np.arange(count)
        idx(tmp_path / f"KMNIST/raw/{part}-images-idx3-ubyte", np.full((count, 28, 28), 9))
        idx(tmp_path / f"KMNIST/raw/{part}-labels-idx1-ubyte", y)

    data = load("KMNIST", tmp_path)

    assert data.train.x.shape == (4, 1, 28, 28)
    assert data.train.x.dtype == torch.uint8
    assert data.train.y.tolist() == [0, 1, 2, 3]
    assert data.test.y.tolist() == [0, 1]


def test_letters_are_counted_from_nought(tmp_path):
    for part in ("train", "test"):
        place = tmp_path / f"EMNIST/raw/emnist-letters-{part}"
        idx(Path(f"{place}-images-idx3-ubyte"), np.zeros((26, 28, 28)))
        idx(Path(f"{place}-labels-idx1-ubyte"), np.arange(1, 27))

    assert load("EMNIST_letters", tmp_path).train.y.tolist() == list(range(26))


def test_arrays_with_channels_last_get_them_first(tmp_path):
    class WithChannelsLast:
        data = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
        targets = (1, 0)

    patterns = source_of("CIFAR10")._in_memory([WithChannelsLast(), WithChannelsLast()])

    assert patterns.x.shape == (4, 3, 4, 5)
    assert patterns.x[0, 1].tolist() == WithChannelsLast.data[0, :, :, 1].tolist()
    assert patterns.y.tolist() == [1, 0, 1, 0]


def test_image_files_of_two_parts_are_joined_and_cached(tmp_path, monkeypatch):
    monkeypatch.setitem(SETS, "Country211", replace(SETS["Country211"], num_classes=2))
    for k, part in enumerate(("train", "valid", "test")):
        for c, country in enumerate(("AD", "AE")):
            image(tmp_path / "country211" / part / country / "1.jpg", 100 * c + 10 * k)

    data = load("Country211", tmp_path, image_size=4)

    assert data.train.x.shape == (4, 3, 4, 4)
    assert greys(data.train.x) == [0, 100, 10, 110]
    assert data.train.y.tolist() == [0, 1, 0, 1]
    assert greys(data.test.x) == [20, 120]
    assert list(tmp_path.glob("cache/*/manifest.json"))


def test_files_and_labels_are_found_under_each_of_torchvisions_names(tmp_path):
    image(tmp_path / "gtsrb/GTSRB/Training/00000/1.ppm", 1)  # _samples
    image(tmp_path / "gtsrb/GTSRB/Training/00001/2.ppm", 2)
    image(tmp_path / "food-101/images/pie/1.jpg", 1)  # _image_files
    image(tmp_path / "food-101/images/soup/2.jpg", 2)
    (tmp_path / "food-101/meta").mkdir()
    (tmp_path / "food-101/meta/train.json").write_text(
        json.dumps({"pie": ["pie/1"], "soup": ["soup/2"]})
    )
    image(tmp_path / "oxford-iiit-pet/images/cat_1.jpg", 1)  # _images
    image(tmp_path / "oxford-iiit-pet/images/dog_2.jpg", 2)
    (tmp_path / "oxford-iiit-pet/annotations").mkdir()
    (tmp_path / "oxford-iiit-pet/annotations/trainval.txt").write_text("cat_1 1 1 1\ndog_2 2 2 1\n")

    for dataset in (
        datasets.GTSRB(tmp_path, split="train"),
        datasets.Food101(tmp_path, split="train"),
        datasets.OxfordIIITPet(tmp_path, split="trainval"),
    ):
        files, labels = _files_and_labels(dataset)
        assert [Path(file).stem[-1] for file in files] == ["1", "2"]
        assert labels == [0, 1]


def test_image_files_are_checked_to_be_of_all_classes(tmp_path):
    for part in ("train", "valid", "test"):
        image(tmp_path / "country211" / part / "AD" / "1.jpg", 0)

    with pytest.raises(ConfigError, match="class 1 has no training rows"):
        load("Country211", tmp_path, image_size=4)


def test_a_damaged_file_is_told_in_one_line(tmp_path):
    (tmp_path / "train_32x32.mat").write_bytes(b"not the published file")

    with pytest.raises(ConfigError, match="SVHN is not as torchvision expects it") as caught:
        load("SVHN", tmp_path)

    assert "\n" not in str(caught.value)


def test_no_network_is_told_in_one_line(tmp_path, monkeypatch):
    def unreachable(*_args: object, **_keys: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", unreachable)

    with pytest.raises(DownloadError, match="could not fetch it") as caught:
        source_of("SVHN").load(tmp_path, download=True)

    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"benchmark.data_root={tmp_path}: SVHN ")


def test_a_set_that_is_not_there_is_told_before_torchvision_is_asked(tmp_path):
    with pytest.raises(ConfigError, match="stl10_binary is missing"):
        source_of("STL10").check(tmp_path, download=False)
