import gc
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clrun.errors import ConfigError
from clrun.images.download import file_digest
from clrun.images.files import Remote
from clrun.preview.sizes import sizes
from clrun.sources import core50_files
from clrun.sources.core50_files import LISTS
from clrun.sources.core50_lists import CATEGORIES, list_names
from clrun.streams.core50 import Core50

OBJECTS = [*range(0, 50, 5), *(k for k in range(50) if k % 5)]
"""In the order in which our NC lists bring them: one of each category, then the others."""
NC_GROUPS = [OBJECTS[:10], *(OBJECTS[start : start + 5] for start in range(10, 50, 5))]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path) -> Path:
    """NC and NI lists of two frames of each object, and their images at 32 px."""
    folder = tmp_path / "data"
    position = {k: place for place, k in enumerate(OBJECTS)}
    train = [[line(1, k, f, position[k]) for k in group for f in (1, 0)] for group in NC_GROUPS]
    test = [line(3, k, 0, position[k]) for k in range(50)]
    write_lists(folder / LISTS["nc"] / "run4", [*train, test])
    sessions = [[line(s, k, 0, k) for k in range(50)] for s in (1, 2, 4, 5, 6, 8, 9, 11, 3)]
    write_lists(folder / LISTS["ni"] / "run0", sessions)
    for listed in [*train, test, *sessions]:
        for entry in listed:
            write_image(folder / "core50_32x32" / entry.split()[0])
    return folder


def line(session: int, k: int, frame: int, label: int) -> str:
    return f"s{session}/o{k + 1}/C_{session:02}_{k + 1:02}_{frame:03}.png {label}"


def write_lists(folder: Path, lists: list[list[str]]) -> None:
    folder.mkdir(parents=True)
    for name, lines in zip(list_names(len(lists) - 1), lists, strict=True):
        (folder / name).write_text("\n".join(lines) + "\n")


def write_image(path: Path) -> None:
    """Red, green and blue say the session, the object and the frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        colour = tuple(int(part) for part in path.stem.split("_")[1:])
        Image.new("RGB", (32, 32), colour).save(path)


def core50(root: Path, **keys) -> Core50:
    usual = {
        "scenario": "nc",
        "run": 4,
        "level": "object",
        "image_size": 32,
        "test_every": 1,
        "augment": "none",
        "normalize": True,
        "validation_fraction": 0.0,
        "data_root": str(root),
        "download": False,
    }
    return Core50(Core50.Config(**{**usual, **keys}))


def test_every_image_is_the_one_that_the_list_names(root):
    for experience, group in zip(core50(root).load(seed=0), NC_GROUPS, strict=True):
        colours = experience.train.x.read()[:, :, 5, 5]

        assert colours.tolist() == [[1, k + 1, frame] for k in group for frame in (1, 0)]


def test_nc_keeps_its_own_numbers_and_names_the_objects_by_them(root):
    benchmark = core50(root).load(seed=0)

    assert [experience.classes for experience in benchmark] == [
        tuple(range(10)),
        *(tuple(range(start, start + 5)) for start in range(10, 50, 5)),
    ]
    assert benchmark.class_names[:2] == ("plug_adapter1", "mobile_phone1")
    assert benchmark.class_names[10] == "plug_adapter2"


def test_each_test_row_is_where_its_class_first_appears(root):
    benchmark = core50(root).load(seed=0)

    for experience in benchmark:
        assert experience.test.y.tolist() == sorted(experience.classes, key=lambda c: OBJECTS[c])
        assert set(experience.test.x.read()[:, 0, 0, 0].tolist()) == {3}
    assert sum(len(experience.test.y) for experience in benchmark) == 50


@pytest.mark.parametrize(
    ("labels", "classes", "later"),
    [("within_experience", 10, tuple(range(5))), ("per_experience", 50, tuple(range(10, 15)))],
)
def test_new_objects_may_have_labels_of_their_experience(labels, classes, later, root):
    source = core50(root, labels=labels)

    benchmark = source.load(seed=0)

    assert source.shape() == benchmark.shape
    assert benchmark.shape.num_classes == len(benchmark.class_names) == classes
    assert benchmark.experiences[0].classes == tuple(range(10))
    assert benchmark.experiences[1].classes == later
    assert set(benchmark.experiences[1].test.y.tolist()) == set(later)


def test_categories_are_of_the_object_whatever_its_number(root):
    benchmark = core50(root, level="category").load(seed=0)

    assert benchmark.class_names == CATEGORIES
    assert benchmark.shape.num_classes == 10
    for experience in benchmark:
        objects = experience.train.x.read()[:, 1, 0, 0].long() - 1
        assert torch.equal(experience.train.y, objects // 5)
    assert [len(experience.test.y) for experience in benchmark] == [50] + [0] * 8


def test_every_nth_test_image_of_the_list_is_kept(root):
    benchmark = core50(root, scenario="ni", run=0, test_every=20).load(seed=0)

    assert len(benchmark) == 8
    assert benchmark.experiences[0].test.y.tolist() == [0, 20, 40]


def test_validation_rows_are_taken_from_the_training_rows_of_each_class(root):
    whole, cut = core50(root).load(seed=0), core50(root, validation_fraction=0.5).load(seed=0)

    for full, part in zip(whole, cut, strict=True):
        assert part.validation.y.unique().tolist() == list(full.classes)
        both = torch.cat([part.train.x.read(), part.validation.x.read()])
        assert sorted(both[:, :, 0, 0].tolist()) == sorted(full.train.x.read()[:, :, 0, 0].tolist())


def test_a_second_start_opens_no_image(root, monkeypatch):
    before = [experience.train.x.read() for experience in core50(root).load(seed=0)]

    monkeypatch.setattr(Image, "open", None)
    after = [experience.train.x.read() for experience in core50(root).load(seed=0)]

    assert all(map(torch.equal, before, after))


def test_images_that_changed_with_their_size_and_time_kept_are_read(root):
    core50(root).load(seed=0)
    for path in (root / "core50_32x32").rglob("*.png"):
        seen = path.stat()
        path.write_bytes(bytes(seen.st_size))
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    with pytest.raises(ConfigError, match="is no whole PNG file"):
        core50(root).load(seed=0)


def test_an_outline_is_the_stream_without_its_images(root):
    whole = core50(root).load(seed=0)
    shutil.rmtree(root / "core50_32x32")

    outline = core50(root, download=False).outline(seed=0)

    for experience, other in zip(outline, whole, strict=True):
        assert experience.classes == other.classes
        for ours, theirs in ((experience.train, other.train), (experience.test, other.test)):
            assert torch.equal(ours.y, theirs.y)
            assert ours.x.shape == theirs.x.shape
            assert ours.x.nbytes == theirs.x.nbytes
    assert (outline.class_names, outline.shape) == (whole.class_names, whole.shape)
    assert sizes(outline).disk == sizes(whole).disk
    with pytest.raises(AssertionError, match="counted alone"):
        outline.experiences[0].train.x.read()


def test_an_outline_needs_its_lists(root):
    with pytest.raises(ConfigError, match="run5 is missing"):
        core50(root, run=5, download=False).outline(seed=0)


@pytest.fixture
def archived(root, tmp_path, monkeypatch) -> Path:
    """The same as the two archives, as they are published."""
    folder = tmp_path / "archives" / "core50"
    folder.mkdir(parents=True)
    for name, top in (("batches_filelists", "batches_filelists"), ("core50_32x32",) * 2):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for path in sorted((root / top).rglob("*.*")):
                archive.write(path, path.relative_to(root))
    lists, images = (
        Remote(
            f"https://data.example.org/{n}.zip", None, None, file_digest(folder / f"{n}.zip", "md5")
        )
        for n in ("batches_filelists", "core50_32x32")
    )
    monkeypatch.setattr(core50_files, "LIST_ARCHIVES", (lists, lists))
    monkeypatch.setattr(core50_files, "IMAGE_ARCHIVES", {32: images})
    return folder.parent


def test_archives_that_are_there_serve_as_the_folders_do(root, archived):
    core50(archived).check()

    from_archive, from_folder = core50(archived).load(seed=0), core50(root).load(seed=0)

    for one, other in zip(from_archive, from_folder, strict=True):
        assert np.array_equal(one.train.x.read(), other.train.x.read())
        assert torch.equal(one.train.y, other.train.y)
    assert not (archived / "core50" / "core50_32x32").exists()


def test_the_archive_is_closed_with_its_reader(archived):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        core50(archived).load(seed=0).experiences[0].train.x.read()
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("name", ["batches_filelists", "core50_32x32"])
def test_an_archive_that_is_not_the_published_one_is_not_used(archived, name):
    with (archived / "core50" / f"{name}.zip").open("ab") as file:
        file.write(b"more")

    with pytest.raises(
        ConfigError, match=rf"{name}\.zip is damaged or not the published file \(MD5"
    ):
        core50(archived).load(seed=0)


def drop_image(root: Path) -> None:
    (root / "core50_32x32/s1/o1/C_01_01_000.png").unlink()


def cut_image(root: Path) -> None:
    path = root / "core50_32x32/s1/o1/C_01_01_000.png"
    path.write_bytes(path.read_bytes()[:60])


def other_size(root: Path) -> None:
    Image.new("RGB", (16, 32)).save(root / "core50_32x32/s1/o1/C_01_01_000.png")


def drop_images(root: Path) -> None:
    (root / "core50_32x32").rename(root / "images")


@pytest.mark.parametrize(
    ("damage", "keys", "message"),
    [
        (drop_image, {}, r"C_01_01_000\.png cannot be read \(No such file"),
        (cut_image, {}, r"s1/o1/C_01_01_000\.png is no whole PNG file"),
        (other_size, {}, r"s1/o1/C_01_01_000\.png is 16x32 pixels, not 32x32"),
        (drop_images, {}, r"core50_32x32\.zip is missing"),
        (lambda root: None, {"run": 5}, r"NC_inc/run5 is missing"),
        (lambda root: None, {"scenario": "nicv2_391", "run": 0}, r"NIC_v2_391/run0 is missing"),
        (lambda root: None, {"image_size": 128}, r"core50_128x128\.zip is missing"),
        (
            lambda root: (root / LISTS["nc"] / "run4" / "train_batch_08_filelist.txt").unlink(),
            {},
            r"NC_inc/run4/train_batch_08_filelist\.txt is missing",
        ),
    ],
)
def test_what_is_missing_or_damaged_is_named_in_one_line(root, damage, keys, message):
    damage(root)
    benchmark = core50(root, **keys)

    def start() -> None:
        benchmark.check()
        benchmark.load(seed=0)

    with pytest.raises(ConfigError, match=message) as caught:
        start()

    assert str(caught.value).startswith(f"benchmark.data_root={root}: ")
    assert "\n" not in str(caught.value)
