import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clrun.errors import ConfigError
from clrun.sources.folder import Folder, find_in_folders
from clrun.sources.labelled_files import LabelledFiles, whole_files


@pytest.fixture(autouse=True)
def cache_in(tmp_path, monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


def tree(root: Path, size: int = 4) -> Path:
    """Two classes of five images; image k is of brightness 10 k, those of b 100 brighter."""
    for first, name in ((0, "a"), (100, "b")):
        (root / name).mkdir(parents=True)
        for k in range(5):
            Image.new("L", (size, size), first + 10 * k).save(root / name / f"{k}.png")
    return root


def source(root: Path, image_size: int | None = None, channels: int | None = None) -> LabelledFiles:
    return LabelledFiles("folder", root, partial(find_in_folders, root, 0.2), image_size, channels)


def test_images_stay_with_their_labels_on_both_sides(tmp_path):
    images = source(tree(tmp_path / "data"))

    data = images.load(images.root, download=False)

    for patterns in data[:2]:
        x = patterns.x.index_select(0, torch.arange(len(patterns.y)))
        assert torch.equal((x[:, 0, 0, 0] >= 100).long(), patterns.y)
    assert (len(data.train.y), len(data.test.y)) == (8, 2)
    assert (images.channels, images.height, images.width) == (1, 4, 4)


def test_a_second_start_opens_no_image(tmp_path, monkeypatch):
    first = source(tree(tmp_path / "data"))
    first.load(first.root, download=False)
    before = first.mean, first.std, first.channels

    def opened(*_args: object, **_keys: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", opened)
    second = source(tmp_path / "data")
    second.check(second.root, download=False)
    second.load(second.root, download=False)

    assert (second.mean, second.std, second.channels) == before


def test_a_changed_image_is_read_again(tmp_path):
    images = source(tree(tmp_path / "data"))
    images.load(images.root, download=False)
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "data" / "a" / "0.png")

    again = source(tmp_path / "data")
    data = again.load(again.root, download=False)

    assert again.channels == 3
    assert data.train.x.shape[1:] == (3, 4, 4)


def test_one_image_with_colours_makes_all_have_three_channels(tmp_path):
    tree(tmp_path / "data")
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "data" / "b" / "9.png")

    assert source(tmp_path / "data").channels == 3
    assert source(tmp_path / "data", channels=1).channels == 1


def test_with_size_and_channels_given_no_header_is_read(tmp_path, monkeypatch):
    tree(tmp_path / "data")
    monkeypatch.setattr(Image, "open", None)

    images = source(tmp_path / "data", image_size=8, channels=3)
    images.check(images.root, download=False)

    assert (images.channels, images.height, images.width) == (3, 8, 8)


def test_images_of_many_sizes_are_resized_to_the_one_asked_for(tmp_path):
    tree(tmp_path / "data")
    Image.new("L", (9, 5), 40).save(tmp_path / "data" / "b" / "9.png")

    images = source(tmp_path / "data", image_size=6)

    assert images.load(images.root, download=False).train.x.shape[1:] == (1, 6, 6)


def test_mean_and_deviation_are_of_the_training_images_alone(tmp_path):
    images = source(tree(tmp_path / "data"))
    train = images.load(images.root, download=False).train

    x = train.x.index_select(0, torch.arange(8)).numpy() / 255

    assert images.mean == pytest.approx((x.mean(),))
    assert images.std == pytest.approx((np.std(x),))


def test_pixels_on_both_sides_are_told_of_at_every_start(tmp_path):
    tree(tmp_path / "data")
    for k in range(5, 10):
        shutil.copy(tmp_path / "data" / "a" / "0.png", tmp_path / "data" / "a" / f"{k}.png")

    message = [s.load(s.root, download=False).notes for s in (source(tmp_path / "data"),) * 2]

    assert message[0] == message[1]
    assert " test rows have the pixels of training rows, e.g. data/a/" in message[0][0]


def broken(root: Path) -> Path:
    """The tree with one file that is no image, one cut short and one empty in class a."""
    tree(root, size=32)
    noise = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    Image.fromarray(noise).save(root / "a" / "1.png")
    (root / "a" / "1.png").write_bytes((root / "a" / "1.png").read_bytes()[:-300])
    (root / "a" / "2.png").write_bytes(b"<html>404</html>")
    (root / "a" / "3.png").write_bytes(b"")
    return root


@pytest.mark.parametrize("keys", [{}, {"image_size": 8, "channels": 1}])
def test_all_damaged_files_are_named_at_once(tmp_path, keys):
    images = source(broken(tmp_path / "data"), **keys)

    with pytest.raises(ConfigError) as caught:
        images.load(images.root, download=False)

    message = str(caught.value)
    assert "3 files are damaged: a/1.png cannot be decoded" in message
    assert "; a/2.png is no image that can be read; a/3.png is empty. Repair" in message


def test_damaged_files_are_skipped_and_counted_and_sides_are_chosen_without_them(tmp_path):
    keys = {"data_root": str(broken(tmp_path / "data")), "test_fraction": 0.5}
    keys |= {"validation_fraction": 0.0, "image_size": None, "channels": None}

    for _ in range(2):  # the second time they are remembered
        images = Folder(Folder.Config(**keys, damaged="skip"))
        data = images.load(images.root, download=False)
        assert data.damaged_files == 3
        assert data.notes[0].startswith("3 damaged files are skipped: a/1.png cannot be decoded")
        assert data.train.y.tolist() == [0, 1, 1, 1]
        assert data.test.y.tolist() == [0, 1, 1]


def test_a_repaired_file_is_taken_again(tmp_path):
    found = source(broken(tmp_path / "data")).find()
    assert len(whole_files(found).files) == 7

    Image.new("L", (32, 32), 9).save(tmp_path / "data" / "a" / "3.png")

    assert len(whole_files(found).files) == 8


def test_an_image_that_is_damaged_inside_is_named_and_leaves_no_cache(tmp_path):
    tree(tmp_path / "data", size=32)
    noise = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    file = tmp_path / "data" / "b" / "3.png"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:-300])
    images = source(tmp_path / "data")

    images.check(images.root, download=False)  # its header is whole
    with pytest.raises(ConfigError, match=r"b/3\.png cannot be decoded \(.*\)\. Repair the file"):
        images.load(images.root, download=False)

    assert not list(tmp_path.glob("cache/*/manifest.json"))
