from pathlib import Path

import pytest
import torch

from clrun.sources import digits
from clrun.sources.digits import Digits

NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def data():
    return Digits().load(NOWHERE, download=False)


def test_all_digits_are_there_in_bytes(data):
    train, test = data.train, data.test

    assert len(train.y) + len(test.y) == 1797
    assert train.x.shape == (1442, 1, 8, 8)
    assert test.x.shape == (355, 1, 8, 8)
    assert train.x.dtype == torch.uint8
    assert train.y.dtype == torch.int64
    assert (train.x.min(), train.x.max()) == (0, 255)


def test_every_class_has_a_fifth_of_its_images_for_testing(data):
    train, test = (patterns.y.bincount() for patterns in data[:2])

    assert len(train) == len(test) == 10
    assert torch.equal(test, (train + test) // 5)


def test_images_and_labels_are_scikit_learns(data):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    theirs = {
        (image.round().astype(int).tobytes(), label)
        for image, label in zip(images, labels, strict=True)
    }

    ours = set()
    for patterns in data[:2]:
        back = (patterns.x.double() * 16 / 255).round().long().view(-1, 64).numpy()
        ours |= {
            (image.tobytes(), label) for image, label in zip(back, patterns.y.tolist(), strict=True)
        }

    assert ours == theirs


def test_they_are_the_same_where_the_file_is_elsewhere(data, monkeypatch):
    monkeypatch.setattr(digits, "FILE", Path("moved.csv.gz"))

    asked_of_sklearn = Digits().load(NOWHERE, download=False)

    assert all(
        torch.equal(ours, theirs)
        for read, expected in zip(data[:2], asked_of_sklearn[:2], strict=True)
        for ours, theirs in zip(read, expected, strict=True)
    )


def test_the_split_is_always_the_same(data):
    again = Digits().load(NOWHERE, download=True)

    assert torch.equal(again.train.x, data.train.x)
    assert torch.equal(again.test.y, data.test.y)


def test_mean_and_deviation_are_those_of_the_training_images(data):
    pixels = data.train.x.double() / 255

    assert Digits().mean == (pytest.approx(pixels.mean().item(), abs=5e-5),)
    assert Digits().std == (pytest.approx(pixels.std().item(), abs=5e-5),)


def test_no_folder_is_needed():
    assert Digits().check(NOWHERE, download=False) is None
