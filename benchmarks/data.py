"""The images of a case: real Fashion-MNIST where there is any, else scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import interpolate

from clrun.sources.idx import read_idx


class Images(NamedTuple):
    """Gray images [N, side, side] uint8 and classes [N] int64, to train on and to test on."""

    name: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def images(data_root: Path | None) -> Images:
    """Fashion-MNIST below `data_root` (torchvision's layout), else digits."""
    if data_root is None:
        return _digits()
    folder = data_root / "FashionMNIST" / "raw"
    train, test = (
        (_idx(folder, f"{part}-images-idx3-ubyte", 3), _idx(folder, f"{part}-labels-idx1-ubyte", 1))
        for part in ("train", "t10k")
    )
    return Images("Fashion-MNIST", train, test)


def _idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    zipped = folder / f"{name}.gz"
    return read_idx(zipped if zipped.exists() else folder / name, dimensions).numpy()


def _digits() -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = (bunch.images * 15).astype(np.uint8), bunch.target.astype(np.int64)
    held_out = np.arange(len(y)) % 5 == 0
    return Images("digits", (x[~held_out], y[~held_out]), (x[held_out], y[held_out]))


def make(shape: dict[str, Any], source: Images, file: Path) -> None:
    """Write the stream of a case: in each experience as many rows of each of its classes.

    Fewer images than asked for come again and again.
    """
    per_class = shape["classes_per_experience"]
    arrays: dict[str, np.ndarray] = {}
    for i in range(shape["experiences"]):
        classes = [(i * per_class + k) % shape["classes"] for k in range(per_class)]
        for part in ("train", "test"):
            x, y = _rows(getattr(source, part), classes, shape[part], turn=i)
            arrays[f"{part}_x{i}"] = _sized(x, shape["side"], shape["channels"])
            arrays[f"{part}_y{i}"] = y
    np.savez(file, **arrays)


def _rows(
    pool: tuple[np.ndarray, np.ndarray], classes: list[int], count: int, turn: int
) -> tuple[np.ndarray, np.ndarray]:
    """`count` rows, equally many of each class, in an order that is the same every time."""
    x, y = pool
    share = count // len(classes)
    rows = [np.resize(np.roll(np.flatnonzero(y == c), -turn * share), share) for c in classes]
    order = np.random.default_rng(turn).permutation(np.concatenate(rows))
    return x[order], y[order].astype(np.int64)


def _sized(x: np.ndarray, side: int, channels: int) -> np.ndarray:
    """Images of this size and these channels. [N, H, W] -> [N, channels, side, side]"""
    rows = torch.from_numpy(x)[:, None]
    if x.shape[1] != side:
        rows = interpolate(rows, (side, side), mode="bilinear", antialias=True)
    return rows.repeat(1, channels, 1, 1).numpy()
