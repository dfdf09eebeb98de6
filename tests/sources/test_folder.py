from pathlib import Path

import pytest

from clrun.sources.folder import find_in_folders
from clrun.sources.labelled_rows import BadRows


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def found(root: Path, test_fraction: float | None = None) -> list[tuple[str, int, bool]]:
    """Path, class and side of each image."""
    files, rows = find_in_folders(root, test_fraction)
    names = [str(file.relative_to(root)) for file in files]
    return list(zip(names, rows.y.tolist(), rows.is_test.tolist(), strict=True))


def test_train_and_test_folders_are_the_two_sides(tmp_path):
    touch(tmp_path, "train/dog/1.png", "train/cat/1.png", "test/cat/9.JPG", "test/dog/8.webp")

    assert found(tmp_path) == [
        ("train/cat/1.png", 0, False),
        ("train/dog/1.png", 1, False),
        ("test/cat/9.JPG", 0, True),
        ("test/dog/8.webp", 1, True),
    ]
    assert find_in_folders(tmp_path, None).rows.class_names == ("cat", "dog")


def test_val_is_the_test_set_where_there_is_no_test_folder(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png")
    assert [row[2] for row in found(tmp_path)] == [False, False, True, True]

    touch(tmp_path, "test/a/2.png", "test/b/2.png")
    assert [row[0] for row in found(tmp_path) if row[2]] == ["test/a/2.png", "test/b/2.png"]


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, *(f"{name}/{k}.png" for name in ("car", "train", "test") for k in range(2)))

    assert find_in_folders(tmp_path, None).rows.class_names == ("car", "test", "train")


def test_without_a_test_folder_a_fraction_of_each_class_is_set_aside(tmp_path):
    touch(tmp_path, *(f"{name}/{k}.png" for name in ("a", "b") for k in range(8)))

    for name in ("a", "b"):
        sides = [row[2] for row in found(tmp_path, 0.25) if row[0].startswith(name)]
        assert sum(sides) == 2


def test_hidden_files_and_notes_are_passed_over_and_folders_in_a_class_are_not(tmp_path):
    touch(tmp_path, ".DS_Store", "README.md", "__MACOSX/x/1.png", "Thumbs.db")
    touch(tmp_path, "a/1.png", "a/.2.png", "a/.git/3.png", "a/boxes.txt", "a/deep/er/4.png")
    touch(tmp_path, "b/1.png", "b/2.png")

    assert sorted(row[0] for row in found(tmp_path)) == [
        "a/1.png",
        "a/deep/er/4.png",
        "b/1.png",
        "b/2.png",
    ]


def test_links_to_images_and_folders_elsewhere_are_followed(tmp_path):
    touch(tmp_path, "store/1.png", "store/2.png", "data/b/1.png", "data/b/2.png")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "data" / "b" / "3.png").symlink_to(tmp_path / "store" / "1.png")

    assert [row[0] for row in found(tmp_path / "data")] == [
        "a/1.png",
        "a/2.png",
        "b/1.png",
        "b/2.png",
        "b/3.png",
    ]


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path):
    touch(tmp_path, *(f"{k}/{i}.png" for k in (0, 2, 10) for i in range(2)))

    assert find_in_folders(tmp_path, None).rows.class_names == ("0", "2", "10")


def test_a_fraction_beside_a_test_folder_is_refused_and_not_ignored(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")

    with pytest.raises(BadRows, match=r"test_fraction=0\.3 is given, and there is a folder test/"):
        find_in_folders(tmp_path, 0.3)
