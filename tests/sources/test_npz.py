from pathlib import Path

import numpy as np
import pytest
import torch

from clrun.sources.npz import NpzArrays
from clrun.sources.source import SourceData


def source(folder: Path, save=np.savez, **arrays: np.ndarray) -> NpzArrays:
    save(folder / "data.npz", **arrays)
    path = str(folder / "data.npz")
    return NpzArrays(NpzArrays.Config(data_root=path, test_fraction=None, validation_fraction=0.0))


def load(source: NpzArrays) -> SourceData:
    source.check(source.root, download=False)
    return source.load(source.root, download=False)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


Y = np.repeat([0, 1], 5)


def everything(data: SourceData) -> torch.Tensor:
    """All images, in the order of their first pixel's rank among the given ones."""
    return torch.cat([data.train.x, data.test.x])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("given", "axes"),
    [
        ((10, 6, 4), None),
        ((10, 6, 4, 3), (0, 3, 1, 2)),
        ((10, 3, 6, 4), None),
        ((10, 1, 6, 4), None),
    ],
)
def test_images_are_read_whatever_the_place_of_their_channels(tmp_path, save, given, axes):
    x = noise(*given)
    images = source(tmp_path, save, x=x, y=Y, x_test=x, y_test=Y)

    data = load(images)

    wanted = torch.from_numpy(x if axes is None else x.transpose(axes).copy()).view(
        10, images.channels, 6, 4
    )
    assert (images.height, images.width) == (6, 4)
    assert torch.equal(data.train.x, wanted)
    assert torch.equal(data.test.x, wanted)
    assert data.train.x.dtype == torch.uint8
    assert data.train.y.dtype == torch.int64


def test_sixteen_bits_and_masks_are_scaled_to_eight(tmp_path):
    deep = np.array([0, 257, 65535], np.uint16).reshape(1, 1, 3).repeat(10, 0)
    mask = np.array([False, True, True]).reshape(1, 1, 3).repeat(10, 0)

    assert load(source(tmp_path, x=deep, y=Y)).train.x[0].tolist() == [[[0, 1, 255]]]
    assert load(source(tmp_path, x=mask, y=Y)).train.x[0].tolist() == [[[0, 255, 255]]]


def test_labels_may_have_gaps_or_be_text(tmp_path):
    x = noise(10, 2, 2)

    numbers = source(tmp_path, x=x, y=Y * 40 + 3)
    assert numbers.class_names == ("3", "43")

    text = source(tmp_path, x=x, y=np.where(Y == 0, "dog", "cat"))
    assert text.class_names == ("cat", "dog")
    assert set(load(text).test.y.tolist()) == {0, 1}


def test_images_stay_with_their_labels_when_a_part_is_set_aside(tmp_path):
    x = np.arange(10, dtype=np.uint8).reshape(10, 1, 1)

    data = load(source(tmp_path, x=x, y=Y))

    for patterns in data[:2]:
        assert torch.equal((patterns.x.flatten() >= 5).long(), patterns.y)
    assert sorted(everything(data).flatten().tolist()) == list(range(10))
    assert len(data.test.y) == 2


def test_tasks_become_experiences(tmp_path):
    images = source(
        tmp_path,
        x=noise(10, 2, 2),
        y=Y,
        task=Y * 7 + 2,
        x_test=noise(2, 2, 2),
        y_test=np.array([1, 0]),
    )

    assert images.rows.num_experiences == 2
    assert images.rows.experience.tolist() == [*Y, 1, 0]


def test_the_test_rows_own_tasks_are_used_where_they_are_given(tmp_path):
    images = source(
        tmp_path,
        x=noise(10, 2, 2),
        y=Y,
        task=np.tile([0, 1], 5),
        x_test=noise(4, 2, 2),
        y_test=np.array([1, 0, 0, 1]),
        task_test=np.array([0, 0, 1, 1]),
    )

    assert images.rows.experience[10:].tolist() == [0, 0, 1, 1]


def test_checking_reads_no_image(tmp_path, monkeypatch):
    images = source(tmp_path, x=noise(10, 2, 2), y=Y)
    read = []
    whole = np.lib.format.read_array

    def watched(file, **keys):
        array = whole(file, **keys)
        read.append(array.ndim)
        return array

    monkeypatch.setattr("clrun.sources.npz_file.npy.read_array", watched)
    images.check(images.root, download=False)
    _ = images.channels, images.class_names

    assert read == [1]


def test_mean_and_deviation_are_of_the_training_images(tmp_path):
    x = np.zeros((10, 2, 2, 3), np.uint8)
    x[..., 1] = 255
    images = source(tmp_path, x=x, y=Y, x_test=x[:2] + 9, y_test=np.array([0, 1]))

    load(images)

    assert images.mean == pytest.approx((0, 1, 0))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("x", "y"),
        ("X", "Y"),
        ("x_train", "y_train"),
        ("X_train", "y_train"),
        ("train_images", "train_labels"),
        ("images", "labels"),
        ("train_x", "train_y"),
    ],
)
def test_arrays_go_by_the_names_that_other_tools_give_them(tmp_path, x, y):
    images = noise(10, 2, 2)
    test_x, test_y = (name.replace("train", "test") for name in (x, y))
    if "train" not in x:
        test_x, test_y = f"{x}_test", f"{y}_test"
    arrays = {x: images, y: Y, test_x: images[::5] + 1, test_y: Y[::5]}

    data = load(source(tmp_path, **arrays, other=np.zeros(3)))

    assert torch.equal(data.train.x, torch.from_numpy(images)[:, None])
    assert torch.equal(data.test.x, torch.from_numpy(images[::5] + 1)[:, None])
    assert (data.train.y.tolist(), data.test.y.tolist()) == (Y.tolist(), [0, 1])


ONE_HOT = np.eye(2, dtype=np.uint8)[Y]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(Y[:, None], id="a column"),
        pytest.param(ONE_HOT, id="one-hot"),
        pytest.param(ONE_HOT.astype(np.float32), id="one-hot as Keras gives it"),
        pytest.param(ONE_HOT > 0, id="one-hot, bool"),
        pytest.param(Y.astype(">i8"), id="big endian"),
        pytest.param(Y.astype(np.float64), id="whole floats"),
        pytest.param(np.array(["0", "1"], "S")[Y], id="bytes"),
    ],
)
def test_labels_of_one_meaning_are_read_however_they_are_written(tmp_path, labels):
    images = source(tmp_path, x=noise(10, 2, 2), y=labels)

    assert images.class_names == ("0", "1")
    assert images.rows.y.tolist() == Y.tolist()


def test_a_class_that_one_hot_labels_never_name_is_none(tmp_path):
    labels = np.eye(5, dtype=np.uint8)[Y * 3 + 1]

    assert source(tmp_path, x=noise(10, 2, 2), y=labels).class_names == ("1", "4")


def test_bytes_are_read_as_utf_8(tmp_path):
    labels = np.array(["k\u00e4fer".encode(), b"bee"])[Y]

    assert source(tmp_path, x=noise(10, 2, 2), y=labels).class_names == ("bee", "k\u00e4fer")


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_read_in_either_order_of_bytes(tmp_path, order):
    x = noise(10, 2, 2)

    data = load(
        source(tmp_path, x=(x.astype(np.uint16) * 257).astype(order), y=Y, x_test=x, y_test=Y)
    )

    assert torch.equal(data.train.x, data.test.x)


def test_the_largest_value_of_all_sides_says_how_many_bits_there_are(tmp_path):
    dark = np.full((10, 2, 2), 255, np.uint16)
    images = source(tmp_path, x=dark, y=Y, x_test=dark * 257, y_test=Y)

    assert load(images).train.x.unique().tolist() == [1]


def test_rows_that_are_on_both_sides_are_told_of(tmp_path):
    x = noise(10, 6, 4)

    found = load(source(tmp_path, x=x, y=Y, x_test=x[[9, 3]], y_test=Y[[9, 3]]))

    assert found.notes == (
        "2 of 2 test rows have the pixels of training rows, e.g. x_test[0] those of x[9].",
    )


MEDMNIST = ("train_images", "train_labels", "test_images", "test_labels")


def test_arrays_to_validate_on_are_for_that(tmp_path):
    x = noise(15, 2, 2)
    names = dict(zip(MEDMNIST, (x[:10], Y[:, None], x[10:13], Y[4:7, None]), strict=True))
    images = source(tmp_path, **names, val_images=x[13:], val_labels=np.array([[1], [0]]))

    data = load(images)

    assert data.validation is not None
    assert torch.equal(data.train.x, torch.from_numpy(x[:10])[:, None])
    assert torch.equal(data.test.x, torch.from_numpy(x[10:13])[:, None])
    assert torch.equal(data.validation.x, torch.from_numpy(x[13:])[:, None])
    assert [p.y.tolist() for p in (data.test, data.validation)] == [[0, 1, 1], [1, 0]]


def test_without_arrays_to_test_on_those_to_validate_on_are_for_it(tmp_path):
    x = noise(12, 2, 2)

    data = load(source(tmp_path, x=x[:10], y=Y, x_val=x[10:], y_val=np.array([1, 0])))

    assert data.validation is None
    assert torch.equal(data.test.x, torch.from_numpy(x[10:])[:, None])


def test_rows_to_validate_on_are_in_the_experiences_of_their_classes(tmp_path):
    x, two = noise(10, 2, 2), np.array([1, 0])
    sides = {"x_test": x[:2], "y_test": two, "x_val": x[2:4], "y_val": two}

    rows = source(tmp_path, x=x, y=Y, task=Y * 3, task_val=np.array([0, 3]), **sides).rows

    assert rows.experience.tolist() == [*Y, 1, 0, 0, 1]
