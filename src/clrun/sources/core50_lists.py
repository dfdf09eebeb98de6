"""The published file lists of CORe50: which image is in which experience, and of what class.

One line an image: its path below the image folder, a space, its label. Lomonaco & Maltoni 2017
(https://arxiv.org/abs/1705.03550) for NI, NC and NIC; Lomonaco et al. 2019
(https://arxiv.org/abs/1907.03799) for NICv2. Nothing is generated here: under Python 3 the authors'
NC script rounds into overlapping groups of classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from clrun.disk.opening import read_bytes
from clrun.images.files import DamagedFile, check_readable

OBJECTS_PER_CATEGORY = 5
CATEGORIES = (
    *("plug_adapter", "mobile_phone", "scissor", "light_bulb", "can"),
    *("glass", "ball", "marker", "cup", "remote_control"),
)
NUM_OBJECTS = OBJECTS_PER_CATEGORY * len(CATEGORIES)
TEST_LIST = "test_filelist.txt"
_IMAGE = re.compile(r"s\d{1,2}/o(\d{1,2})/C_\d\d_\d\d_\d{3}\.png")


@dataclass(frozen=True, eq=False)
class FileLists:
    """The images of one run of one scenario."""

    names: Sequence[str]
    """the names of all images, sorted: row i of the data is names[i]"""
    train: list[Tensor]
    """Rows of each experience, int64, in the list's order"""
    test: Tensor
    """Rows, int64"""
    objects: Tensor
    """the object of each row, 0..49"""
    labels: Tensor
    """the label of each row in the lists; NC renumbers the objects as they appear"""


def list_names(num_experiences: int) -> list[str]:
    """The names of a run's list files, the test list last."""
    return [*(f"train_batch_{k:02}_filelist.txt" for k in range(num_experiences)), TEST_LIST]


def read_lists(folder: Path, num_experiences: int) -> FileLists:
    """Read one run's lists.

    Raises:
        DamagedFile: a list is missing, empty or not a list, or an image is listed twice.
    """
    listed = [_read(folder / name) for name in list_names(num_experiences)]
    names = sorted({name for one, _ in listed for name in one})
    number = dict(zip(names, count(), strict=False))
    rows = [torch.tensor([number[name] for name in one]) for one, _ in listed]
    if sum(map(len, rows)) != len(names):
        raise DamagedFile(f"{folder.name}: an image is in two lists, or twice in one")
    labels = torch.empty(len(names), dtype=torch.int64)
    labels[torch.cat(rows)] = torch.cat([given for _, given in listed])
    objects = torch.tensor([_object(name) for name in names])
    _check_labels(folder, objects, labels)
    if not torch.isin(labels[rows[-1]], labels[torch.cat(rows[:-1])]).all():
        raise DamagedFile(f"{folder.name}: {TEST_LIST} has a class that no experience trains on")
    return FileLists(names, rows[:-1], rows[-1], objects, labels)


def _read(path: Path) -> tuple[list[str], Tensor]:
    """The paths and labels of one list."""
    check_readable(path)
    words = read_bytes(path).decode(errors="replace").split()
    names, labels = words[::2], words[1::2]
    if len(names) != len(labels) or not all(map(str.isdecimal, labels)):
        raise DamagedFile(f"{path.name} is not a list of images and labels")
    return names, torch.tensor([int(label) for label in labels])


def _object(name: str) -> int:
    """0..49, from the path; a path of another form could lead anywhere, so it is refused."""
    found = _IMAGE.fullmatch(name)
    if not found or not 1 <= int(found[1]) <= NUM_OBJECTS:
        raise DamagedFile(f"{name[:80]} in a list is no image of CORe50 (sX/oY/C_XX_YY_ZZZ.png)")
    return int(found[1]) - 1


def _check_labels(folder: Path, objects: Tensor, labels: Tensor) -> None:
    """Every object has one label and every label one object."""
    pairs = torch.stack([objects, labels], 1).unique(dim=0)
    highest = int(labels.max())
    if len(pairs) != len(objects.unique()) or len(pairs) != len(labels.unique()):
        raise DamagedFile(f"{folder.name}: an object has two labels, or a label two objects")
    if highest >= NUM_OBJECTS:
        raise DamagedFile(f"{folder.name}: label {highest} of {NUM_OBJECTS} objects")
