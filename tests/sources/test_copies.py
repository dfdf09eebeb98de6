import os
from pathlib import Path

import pytest
import torch

from clrun.sources.class_names import BadRows
from clrun.sources.copies import Copies, check_files_apart, copies, notes_on_copies


def images(*values: int) -> torch.Tensor:
    """Images of one brightness each."""
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_held_out_rows_with_the_pixels_of_training_rows_are_counted_and_one_is_named():
    assert copies(images(1, 2, 3, 2), images(9, 2, 3, 2)) == Copies(3, held_out=1, train=1)


def test_rows_that_differ_in_one_pixel_are_no_copies():
    near = images(1).clone()
    near[0, 0, 0, 0] = 2

    assert copies(images(1), near) is None


def test_each_side_with_copies_has_a_line():
    sides = {"test": images(1, 5), "validation": images(2), "none": images(7)}

    notes = notes_on_copies(images(1, 2), sides, lambda side, k: f"{side}{k}")

    assert notes == (
        "1 of 2 test rows have the pixels of training rows, e.g. test0 those of training0.",
        "1 of 1 validation rows have the pixels of training rows, "
        "e.g. validation0 those of training1.",
    )


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return [folder / name for name in names]


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("sides", [(0, 1), (0, 2), (1, 2)])
def test_a_file_on_two_sides_is_refused_with_both_names(tmp_path, link, sides):
    (file,) = files(tmp_path / "data", "a/1.png")
    link(file, tmp_path / "data" / "a" / "2.png")

    with pytest.raises(BadRows, match=r"data/a/1\.png and data/a/2\.png are one file"):
        check_files_apart([file, tmp_path / "data" / "a" / "2.png"], torch.tensor(sides))


def test_a_file_twice_on_one_side_and_equal_files_are_let_be(tmp_path):
    one, other = files(tmp_path, "1.png", "2.png")

    check_files_apart([one, one, other], torch.tensor([0, 0, 1]))
