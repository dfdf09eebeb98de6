import hashlib
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from clrun.errors import ConfigError
from clrun.images.files import Remote
from clrun.sources.tiny_imagenet import ARCHIVE, TinyImagenet


class Small(TinyImagenet):
    """Laid out as the published set, with few images."""

    num_classes = 2
    per_class = 3
    num_test = 2


NAMES = ("n01443537", "n01629819")


@pytest.fixture(autouse=True)
def cache_in(tmp_path, monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


def tree(root: Path) -> Path:
    """Published names, few images; image k of class c has brightness 100 c + 10 k."""
    for c, name in enumerate(NAMES):
        folder = root / "tiny-imagenet-200" / "train" / name
        (folder / "images").mkdir(parents=True)
        (folder / f"{name}_boxes.txt").write_text("")
        for k in range(3):
            grey = Image.new("L", (64, 64), 100 * c + 10 * k)
            grey.save(folder / "images" / f"{name}_{k}.JPEG")
    val = root / "tiny-imagenet-200" / "val"
    (val / "images").mkdir(parents=True)
    for k in range(2):
        Image.new("RGB", (64, 64), (200 + k,) * 3).save(val / "images" / f"val_{k}.JPEG")
    lines = [f"val_{k}.JPEG\t{NAMES[1 - k]}\t0\t0\t63\t63" for k in range(2)]
    (val / "val_annotations.txt").write_text("\n".join(lines))
    return root


def packed(root: Path, folder: Path) -> Remote:
    """The tree as an archive in `folder`, and how to recognise it."""
    place = folder / ARCHIVE.name
    with zipfile.ZipFile(place, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    return Remote(ARCHIVE.url, digest, place.stat().st_size)


def check_and_load(root: Path, source: TinyImagenet | None = None):
    source = source or Small()
    source.check(root, download=False)
    return source.load(root, download=False)


def test_validation_images_are_the_test_set_and_have_the_annotated_classes(tmp_path):
    source = Small()

    train, test, *_ = check_and_load(tree(tmp_path / "data"), source)

    greys = train.x.index_select(0, torch.arange(6))[:, 0].float().mean((1, 2)).round()
    assert train.x.shape == (6, 3, 64, 64)
    assert greys.tolist() == [0, 10, 20, 100, 110, 120]
    assert train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.y.tolist() == [1, 0]
    assert source.class_names == NAMES


def test_an_archive_in_the_folder_is_unpacked_without_the_network(tmp_path):
    (tmp_path / "data").mkdir()
    source = Small()
    source.archive = packed(tree(tmp_path / "made"), tmp_path / "data")

    train, *_ = check_and_load(tmp_path / "data", source)

    assert len(train.y) == 6


def test_an_archive_that_is_not_the_published_one_is_not_unpacked(tmp_path):
    (tmp_path / "data").mkdir()
    packed(tree(tmp_path / "made"), tmp_path / "data")

    with pytest.raises(ConfigError, match="is damaged or not the published file"):
        check_and_load(tmp_path / "data")

    assert not (tmp_path / "data" / "tiny-imagenet-200").exists()


def lose_an_image(folder: Path) -> None:
    (folder / "train" / NAMES[1] / "images" / f"{NAMES[1]}_2.JPEG").unlink()


def lose_a_test_image(folder: Path) -> None:
    (folder / "val" / "images" / "val_1.JPEG").unlink()


def lose_an_annotation(folder: Path) -> None:
    (folder / "val" / "val_annotations.txt").write_text(f"val_0.JPEG\t{NAMES[0]}\n")


def add_a_class(folder: Path) -> None:
    (folder / "train" / "n99999999").mkdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_an_image, f"train/{NAMES[1]} holds 2 of 3 images"),
        (lose_a_test_image, "val_1.JPEG"),
        (lose_an_annotation, "does not name 2 images with a class"),
        (add_a_class, "train/ holds 3 of 2 classes"),
    ],
)
def test_a_tree_that_is_not_whole_is_refused(tmp_path, change, message):
    change(tree(tmp_path / "data") / "tiny-imagenet-200")

    with pytest.raises(ConfigError, match=message):
        check_and_load(tmp_path / "data")
