from pathlib import Path

import numpy as np
import pytest
import torch

from clrun.sources.npz import NpzArrays
from clrun.sources.source import SourceData


def source(folder: Path, save=np.savez, **arrays: np.ndarray) -> NpzArrays:
    save(folder / "data.npz", **arrays)
    path = str(folder / "data.npz")
    return NpzArrays(NpzArrays.Config(data_root=path, test_fraction=None))


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

    for patterns in data:
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
