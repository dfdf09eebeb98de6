from pathlib import Path

import pytest

from clrun.sources.class_names import BadRows
from clrun.sources.folder import find_in_folders


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def found(root: Path, test_fraction: float | None = None) -> list[tuple[str, int, bool]]:
    """Path, class and side of each image."""
    files, rows, *_ = find_in_folders(root, test_fraction)
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


def sides(root: Path) -> dict[str, list[str]]:
    """The images of each side."""
    files, rows, *_ = find_in_folders(root, None)
    names = [str(file.relative_to(root)) for file in files]
    message = [("train", "test", "val")[side] for side in rows.side.tolist()]
    return {
        side: [n for n, s in zip(names, message, strict=True) if s == side] for side in set(message)
    }


def test_validation_is_the_test_side_where_there_is_no_test_folder(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "valid/a/1.png", "valid/b/1.png")
    assert sides(tmp_path)["test"] == ["valid/a/1.png", "valid/b/1.png"]

    touch(tmp_path, "test/a/2.png", "test/b/2.png")
    assert sides(tmp_path) == {
        "train": ["train/a/1.png", "train/b/1.png"],
        "test": ["test/a/2.png", "test/b/2.png"],
        "val": ["valid/a/1.png", "valid/b/1.png"],
    }


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("train", "validation"),
        ("TRAINING", "testing"),
        ("training_set", "test_set"),
        ("train2017", "val2017"),
    ],
)
def test_folders_that_mean_a_side_are_no_classes(tmp_path, train, test):
    touch(tmp_path, *(f"{side}/{name}/1.png" for side in (train, test) for name in ("a", "b")))

    assert find_in_folders(tmp_path, None).rows.class_names == ("a", "b")
    assert sides(tmp_path)["test"] == [f"{test}/a/1.png", f"{test}/b/1.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["car", "train", "bus"], r"train/ means a side and stands beside bus/"),
        (["car", "test"], r"has test/ and no train/"),
        (["train", "val", "valid"], r"val/ and valid/ both mean the validation side"),
        (["train", "Training", "test"], r"Training/ and train/ both mean the train side"),
    ],
)
def test_sides_that_cannot_be_meant_are_refused(tmp_path, names, message):
    touch(tmp_path, *(f"{name}/a/1.png" for name in names))

    with pytest.raises(BadRows, match=message):
        find_in_folders(tmp_path, None)


def test_a_folder_beside_two_sides_is_told_of(tmp_path):
    places = [f"{side}/{name}/1.png" for side in ("train", "test") for name in ("a", "b")]
    touch(tmp_path, *places, "extra/a/1.png", "@eaDir/1.png", "outputs/x/run.json")

    found = find_in_folders(tmp_path, None)

    assert found.notes == ("extra/ beside test/ and train/ is not read.",)
    assert len(found.files) == 4


def test_sides_inside_a_class_are_refused_and_not_mixed(tmp_path):
    touch(tmp_path, *(f"{c}/{side}/1.png" for c in ("a", "b") for side in ("train", "test")))

    with pytest.raises(BadRows, match=r"a/ is read as a class, and holds test/ and train/"):
        find_in_folders(tmp_path, None)


def test_a_class_below_a_side_may_be_called_train(tmp_path):
    touch(tmp_path, *(f"{side}/{c}/1.png" for c in ("bus", "train") for side in ("train", "test")))

    assert find_in_folders(tmp_path, None).rows.class_names == ("bus", "train")


def test_names_of_both_sides_are_compared_in_their_composed_form(tmp_path):
    touch(tmp_path, "train/caf\u00e9/1.png", "train/tea/1.png")
    touch(tmp_path, "test/cafe\u0301/2.png", "test/tea/2.png")

    assert find_in_folders(tmp_path, None).rows.class_names == ("caf\u00e9", "tea")


def test_a_class_that_the_other_side_writes_in_another_case_is_told_with_both(tmp_path):
    touch(tmp_path, "train/Cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png")

    with pytest.raises(BadRows, match=r"train/ has a class Cat, and test/ has 'cat'"):
        find_in_folders(tmp_path, None)


def test_class_folders_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "f/Cat/1.png", "f/cat/1.png")

    with pytest.raises(BadRows, match=r"f/Cat/ has class 'Cat' and f/cat/ 'cat', which read as on"):
        find_in_folders(tmp_path / "f", None)


def test_folders_of_systems_and_of_clrun_are_passed_over_at_every_level(tmp_path):
    touch(tmp_path, *(f"{c}/{k}.png" for c in ("a", "b") for k in range(2)))
    touch(tmp_path, "@eaDir/x/1.png", "a/@eaDir/1.png/SYNO.jpg", "a/deep/#recycle/1.png")
    touch(tmp_path, "a/1.png:Zone.Identifier", "Icon\r", "$RECYCLE.BIN/1.png", "lost+found/1.png")
    touch(tmp_path, "outputs/2026-11-27/12-00-00/run.json", "outputs/2026-11-27/12-00-00/x.log")

    assert len(find_in_folders(tmp_path, None).files) == 4


def test_all_files_that_are_no_images_are_told_of_at_once(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", *(f"b/{k:02}.heic" for k in range(12)))

    with pytest.raises(BadRows) as caught:
        find_in_folders(tmp_path, None)

    assert "b/00.heic, b/01.heic" in str(caught.value)
    assert "b/09.heic, and 2 more are no images by their names" in str(caught.value)


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


def test_a_validation_fraction_beside_a_validation_folder_is_refused(tmp_path):
    touch(tmp_path, *(f"{s}/{c}/1.png" for s in ("train", "test", "val") for c in ("a", "b")))

    with pytest.raises(
        BadRows, match=r"validation_fraction=0\.1 is given, and there is a folder val"
    ):
        find_in_folders(tmp_path, None, 0.1)


def test_a_fraction_beside_a_test_folder_is_refused_and_not_ignored(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")

    with pytest.raises(BadRows, match=r"test_fraction=0\.3 is given, and there is a folder test/"):
        find_in_folders(tmp_path, 0.3)


@pytest.mark.parametrize("side", ["", "train/"])
def test_classes_that_all_hold_the_same_folders_are_noted(tmp_path, side):
    names = [f"{top}/{name}/{k}.png" for top in ("images", "more") for name in "ab" for k in "12"]
    touch(tmp_path, *(side + name for name in names))
    if side:
        touch(tmp_path, "test/images/1.png", "test/more/1.png")

    notes = find_in_folders(tmp_path, None).notes

    assert notes == (
        "classes are images/, more/, and each holds a/, b/ and no image beside them. If these are "
        "the classes, put all images of each into one folder of its name.",
    )


@pytest.mark.parametrize(
    "names",
    [
        ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"),
        ("cat/s1/1.png", "cat/s2/2.png", "dog/s1/1.png", "dog/s3/2.png"),  # other sessions
        ("cat/s1/1.png", "cat/s2/2.png", "dog/s1/1.png", "dog/s2/1.png", "dog/3.png"),
        ("cat/images/1.png", "cat/images/2.png", "dog/images/1.png", "dog/images/2.png"),
    ],
)
def test_other_folders_in_classes_are_not(tmp_path, names):
    touch(tmp_path, *names)

    assert find_in_folders(tmp_path, None).notes == ()


def test_a_single_folder_around_the_classes_is_told_with_what_is_in_it(tmp_path):
    touch(tmp_path, *(f"pets/{name}/{k}.png" for name in ("cat", "dog") for k in "12"))

    with pytest.raises(BadRows, match=r"one folder, pets/, and in that are cat/, dog/\. If these"):
        find_in_folders(tmp_path, None)
