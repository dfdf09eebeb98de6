"""Images without labels: in the order they were named, as a model takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clrun.errors import ConfigError
from clrun.images.image_files import ImageShape
from clrun.sources import unlabelled
from clrun.sources.unlabelled import Unlabelled


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """(name, grey value, size) -> an image file."""

    def make(name: str, value: int, size: tuple[int, int] = (4, 4)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, value).save(path)
        return path

    return make


def read(paths: list[Path], *, skips: bool = False, channels: int = 1) -> tuple[list, list, dict]:
    """Names, the first value of each image, and what was left out."""
    images = Unlabelled(paths, ImageShape(channels, 4, 4), skips_damaged=skips)
    names, values = [], []
    for some, x in images:
        assert x.dtype == torch.uint8
        assert x.shape[1:] == (channels, 4, 4)
        names += some
        values += x[:, 0, 0, 0].tolist()
    return names, values, {**images.damaged, "resized": images.resized}


def test_files_folders_and_arrays_come_in_the_order_they_were_named(draw, tmp_path, monkeypatch):
    monkeypatch.setattr(unlabelled, "AT_ONCE", 2)
    last, folder = draw("z.png", 1), tmp_path / "photos"
    for n in range(5):
        draw(f"photos/{'train' if n < 2 else 'test'}/{n}.png", 10 + n)
    np.savez(
        tmp_path / "x.npz", x_test=np.full((1, 4, 4), 3, np.uint8), x=np.zeros((3, 4, 4), "u1")
    )

    names, values, rest = read([last, tmp_path / "x.npz", folder, last])

    assert values == [1, 0, 0, 0, 3, 12, 13, 14, 10, 11, 1]
    assert names[1:5] == [f"{tmp_path}/x.npz:{k}" for k in ("x[0]", "x[1]", "x[2]", "x_test[0]")]
    assert names[5] == str(folder / "test" / "2.png")
    assert rest == {"resized": 0}


def test_damaged_files_are_left_out_where_the_run_left_them_out(draw, tmp_path):
    whole = [draw(f"{n}.png", n) for n in range(3)]
    whole[1].write_bytes(b"<html>")

    names, values, rest = read([tmp_path], skips=True)

    assert values == [0, 2]
    assert names == [str(whole[0]), str(whole[2])]
    assert list(rest) == [str(whole[1]), "resized"]


def test_damaged_files_are_all_named_where_they_are_refused(draw, tmp_path):
    for n in range(3):
        draw(f"{n}.png", n)
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes(b"")

    with pytest.raises(
        ConfigError, match=r"2 files are damaged: .*0\.png is empty; .*2\.png is empty"
    ):
        read([tmp_path])


def test_a_damaged_file_beside_the_shell_is_named_as_it_was(draw, tmp_path, monkeypatch):
    draw("0.png", 0).write_bytes(b"<html>")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"^0\.png is no image that can be read\."):
        read([Path("0.png")])


def test_other_sizes_and_channels_are_made_the_models(draw, tmp_path):
    draw("wide.png", 7, (8, 2))
    np.savez(tmp_path / "x.npz", x=np.full((2, 6, 3), 9, np.uint8))

    _, values, rest = read([tmp_path / "wide.png", tmp_path / "x.npz"], channels=3)

    assert values == [7, 9, 9]
    assert rest == {"resized": 3}


def test_colour_arrays_are_not_taken_for_grey(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4, 4, 3), np.uint8))

    with pytest.raises(ConfigError, match="x has 3 channels, and the model takes 1"):
        read([tmp_path / "x.npz"])
