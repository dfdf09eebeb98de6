"""Values that do not fit their type: 8 or 12 bits kept as 16, black and white kept as 0 and 1.

16 bits are divided by 257 so that white stays white; of values that never come near white this
would leave a few grey levels, or none. What counts is the largest value over all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from clrun.device.rows import Rows
from clrun.images.files import DamagedFile
from clrun.images.image_files import deep_maximum, named
from clrun.sources.class_names import BadRows
from clrun.sources.statistics import Statistics

LEAST = 1 << 14
"""A largest value below it leaves 64 of 256 grey levels at most: it is of 14 bits, or fewer."""
AT_ONCE = 1024
"""Rows that are read together."""


def check_depth(what: str, largest: int, *, is_array: bool) -> None:
    """Raise BadRows if 16-bit images (`what`, for the message) have no value above `largest`."""
    if largest >= LEAST or largest == 0:
        return
    shift = max(0, largest.bit_length() - 8)
    array = "astype('uint8')" if shift == 0 else f"(x >> {shift}).astype('uint8')"
    call = f", e.g. {f'x.{array}' if shift == 0 else array}" if is_array else ""
    raise BadRows(
        f"{what}, and no value is above {largest} of 65535: {8 + shift} bits, kept as 16, would "
        f"leave {largest // 257 + 1} of 256 grey levels. Save 8 bits{call}"
    )


def check_file_depths(files: Sequence[Path]) -> None:
    """Raise BadRows if there are images of 16 bits and none of them has a large value.

    Opens images until one has; damaged ones are for whoever decodes them to name.
    """
    largest, example = 0, None
    for file in files:
        try:
            found = deep_maximum(file)
        except DamagedFile:
            continue
        if found is not None:
            largest, example = max(largest, found), example or file
        if largest >= LEAST:
            return
    if example is not None:
        check_depth(f"{named(example)} has 16 bits", largest, is_array=False)


def check_not_zeros_and_ones(x: Rows, statistics: Statistics, way_out: str) -> None:
    """Raise BadRows if 8-bit images hold no other value than 0 and 1.

    `statistics` of some of them tell without reading any where it cannot be so.
    """
    if not 0 < max(statistics[0]) <= 1 / 255:
        return
    pieces = torch.arange(len(x)).split(AT_ONCE)
    if all(int(x.index_select(0, rows).max()) <= 1 for rows in pieces):
        raise BadRows(f"the images hold 0 and 1 alone, of 255: nearly black. {way_out}")
