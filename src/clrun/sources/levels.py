"""Class folders whose images all lie a level below: perhaps the classes are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clrun.images.files import some
from clrun.sources.class_names import BadRows


def notes_on_levels(folder: Path, found: Mapping[str, Sequence[Path]]) -> list[str]:
    """A line where all class folders hold folders of the same names, and images only in those.

    That may be meant: sessions of each class. `found` are the images of each class below `folder`.

    Raises:
        BadRows: it cannot be meant, as there is one class folder only.
    """
    below = {name: _folders_below(folder, files) for name, files in found.items()}
    inner = next(iter(below.values()))
    if len(inner) < 2 or any(names != inner for names in below.values()):
        return []
    listed = some([f"{name}/" for name in sorted(inner)])
    if len(below) == 1:
        outer = next(iter(below))
        raise BadRows(
            f"holds one folder, {outer}/, and in that are {listed}. If these are the classes, name "
            f"{outer}/ as benchmark.data_root"
        )
    outer = some([f"{name}/" for name in below])
    return [
        f"classes are {outer}, and each holds {listed} and no image beside them. If these are the "
        "classes, put all images of each into one folder of its name."
    ]


def _folders_below(folder: Path, files: Sequence[Path]) -> frozenset[str]:
    """The folders inside a class folder; none if it holds images itself."""
    places = [file.relative_to(folder).parts[1:] for file in files]
    direct = any(len(place) == 1 for place in places)
    return frozenset() if direct else frozenset(place[0] for place in places)
