from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clrun.errors import ConfigError
from clrun.sources.class_names import BadRows
from clrun.sources.folder import find_in_folders
from clrun.sources.labelled_files import LabelledFiles
from clrun.sources.statistics import channel_statistics
from clrun.sources.value_range import LEAST, check_depth, check_not_zeros_and_ones


@pytest.fixture(autouse=True)
def cache_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


def tree(root: Path) -> Path:
    """Two classes of five grey images of 8 bits."""
    for name in "ab":
        (root / name).mkdir(parents=True)
        for k in range(5):
            Image.new("L", (4, 4), 50 * k).save(root / name / f"{k}.png")
    return root


def deep(path: Path, value: int) -> None:
    Image.fromarray(np.full((4, 4), value, np.uint16)).save(path)


def loaded(root: Path) -> torch.Tensor:
    """All training rows, after a second start as after the first."""
    for _ in range(2):
        images = LabelledFiles("folder", root, partial(find_in_folders, root, 0.2), None, None)
        images.check(root, download=False)
        data = images.load(root, download=False)
    return data.train.x.index_select(0, torch.arange(len(data.train.y)))


@pytest.mark.parametrize("largest", [1, 255, 256, 1023, 4080, LEAST - 1])
def test_a_sixteen_bit_file_of_small_values_is_refused_each_time(tmp_path, largest):
    deep(tree(tmp_path / "data") / "b" / "odd.png", largest)

    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"b/odd\.png has 16 bits.*above {largest} of 65535"):
            loaded(tmp_path / "data")


def test_one_large_value_in_any_of_them_is_enough(tmp_path):
    tree(tmp_path / "data")
    deep(tmp_path / "data" / "a" / "dark.png", 257)
    deep(tmp_path / "data" / "b" / "dark.png", 257)
    deep(tmp_path / "data" / "b" / "light.png", LEAST)

    assert 1 in loaded(tmp_path / "data").unique().tolist()


def test_eight_bits_may_be_dark(tmp_path):
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(5):
            Image.new("L", (4, 4), k).save(tmp_path / "data" / name / f"{k}.png")

    assert loaded(tmp_path / "data").max() == 4


def test_masks_of_zeros_and_ones_are_refused(tmp_path):
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(5):
            Image.new("L", (4, 4), k % 2).save(tmp_path / "data" / name / f"{k}.png")

    for _ in range(2):
        with pytest.raises(ConfigError, match=r"hold 0 and 1 alone.*Save white as 255"):
            loaded(tmp_path / "data")


@pytest.mark.parametrize(
    ("largest", "bits", "levels", "call"),
    [
        (255, 8, 1, "x.astype('uint8')"),
        (1023, 10, 4, "(x >> 2).astype('uint8')"),
        (4080, 12, 16, "(x >> 4).astype('uint8')"),
        (16383, 14, 64, "(x >> 6).astype('uint8')"),
    ],
)
def test_the_line_says_how_many_bits_it_looks_like_and_what_to_call(largest, bits, levels, call):
    with pytest.raises(BadRows) as refused:
        check_depth("x is uint16", largest, is_array=True)

    assert f"{bits} bits, kept as 16, would leave {levels} of 256 grey levels" in str(refused.value)
    assert str(refused.value).endswith(f"Save 8 bits, e.g. {call}")


@pytest.mark.parametrize("values", [[0, 0], [0, 2], [255, 0], [1, 2]])
def test_other_values_than_zeros_and_ones_pass(values):
    x = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)

    check_not_zeros_and_ones(x, channel_statistics(x), "")
