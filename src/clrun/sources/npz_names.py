"""Names that tools give the arrays of a data set: Keras' x_train, MedMNIST's train_images.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from clrun.sources.class_names import BadRows
from clrun.sources.sides import Side

Kind = Literal["images", "labels", "task"]
KINDS: dict[str, Kind] = {
    "x": "images",
    "images": "images",
    "y": "labels",
    "labels": "labels",
    "label": "labels",
    "task": "task",
}
SIDES: dict[str, Side] = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
"""Words of a name, in any case and in either order; one without a side is of training."""
Names = dict[tuple[Kind, Side], str]


def meanings(members: Sequence[str]) -> Names:
    """What is which array; those of other names are left out.

    Raises:
        BadRows: two mean the same, or images or labels have no counterpart.
    """
    names: Names = {}
    for name in members:
        meaning = _meaning(name)
        if meaning is None:
            continue
        if meaning in names:
            kind, side = meaning
            raise BadRows(f"{names[meaning]} and {name} both mean {side} {kind}. Keep one")
        names[meaning] = name
    _check_complete(names, members)
    return names


def images_among(members: Sequence[str]) -> list[str]:
    """The arrays of images, those to train on first, whatever else there is.

    Raises:
        BadRows: none is named like images, and there are several arrays.
    """
    sides: list[Side] = ["train", "test", "validation"]
    found = {meaning[1]: name for name in members if (meaning := _meaning(name)) in _images(sides)}
    if found:
        return [found[side] for side in sides if side in found]
    if len(members) != 1:
        raise BadRows(
            f"has arrays {', '.join(members) or 'none'}, and x is missing. "
            "Add it: numpy.savez(file, x=images)"
        )
    return list(members)


def _images(sides: Sequence[Side]) -> list[tuple[Kind, Side]]:
    return [("images", side) for side in sides]


def _meaning(name: str) -> tuple[Kind, Side] | None:
    words = name.lower().split("_")
    kinds = [KINDS[word] for word in words if word in KINDS]
    sides = [SIDES[word] for word in words if word in SIDES]
    if len(kinds) != 1 or len(kinds) + len(sides) != len(words) or len(sides) > 1:
        return None
    return kinds[0], sides[0] if sides else "train"


def _check_complete(names: Names, members: Sequence[str]) -> None:
    """Raise BadRows for images without labels, labels without images, and nothing to train on."""
    sides = {side for kind, side in names if kind != "task"}
    wanted: list[tuple[Kind, Side, str]] = [("images", "train", "x"), ("labels", "train", "y")]
    for side, suffix in (("test", "_test"), ("validation", "_val")):
        if side in sides:
            wanted += [("images", side, f"x{suffix}"), ("labels", side, f"y{suffix}")]
    for kind, side, usual in wanted:
        if (kind, side) not in names:
            raise BadRows(
                f"has arrays {', '.join(members) or 'none'}, and {usual} is missing. "
                f"Add it: numpy.savez(file, x=images, y=labels)"
            )
    tasks = {side for kind, side in names if kind == "task"}
    if tasks and not {"train"} <= tasks <= sides:
        raise BadRows("has task_test without task and x_test. Add them, or leave it out")
