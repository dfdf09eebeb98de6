"""The fingerprint of a stream: other data have another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clrun.config.compose import compose
from clrun.images.lazy_rows import LazyRows, Store
from clrun.images.patterns import Patterns
from clrun.runner.prepare import build
from clrun.streams.experience import Benchmark
from clrun.streams.fingerprint import fingerprint


def digits(*words: str, seed: int = 0) -> Benchmark:
    return build(compose([*words]).nodes["benchmark"]).load(seed)


def with_train(benchmark: Benchmark, train: Patterns) -> Benchmark:
    first, *rest = benchmark.experiences
    return replace(benchmark, experiences=[replace(first, train=train), *rest])


def test_the_same_data_have_the_same():
    assert fingerprint(digits()) == fingerprint(digits())


def test_one_pixel_or_one_label_is_enough():
    stream = digits()
    x, y = stream.experiences[0].train
    other_x, other_y = x.clone(), y.clone()
    other_x[7, 0, 3, 3] ^= 1
    other_y[7] = 1 - other_y[7]

    found = {
        fingerprint(with_train(stream, Patterns(*both)))
        for both in ((x, y), (other_x, y), (x, other_y), (x[:-1], y[:-1]), (x.flip(0), y.flip(0)))
    }

    assert len(found) == 5


@pytest.mark.parametrize(
    "key", ["benchmark.limit_per_class=20", "benchmark.validation_fraction=0.1"]
)
def test_rows_left_out_or_held_out_count(key):
    assert fingerprint(digits(key)) != fingerprint(digits())


class Noting(LazyRows):
    """Large images that exist when they are asked for; notes how many that were."""

    def __init__(self, total: int, value: int) -> None:
        super().__init__(total, (1, 1000, 1000))
        self.value, self.asked = value, []

    def stores(self) -> frozenset[Store]:
        return frozenset()

    def _gathered(self, rows: Tensor) -> Tensor:
        self.asked.append(len(rows))
        return torch.full((len(rows), *self._row_shape), self.value, dtype=torch.uint8)

    def _origin(self) -> bytes:
        return b"noting"


def test_of_rows_with_a_known_checksum_every_pixel_counts_and_none_is_read():
    stream = digits()
    rows = [Noting(50, 1) for _ in range(3)]
    for x, checksum in zip(rows, ("a", "b", "a"), strict=True):
        x.checksum = checksum
    y = torch.zeros(50, dtype=torch.int64)

    found = [fingerprint(with_train(stream, Patterns(x, y))) for x in rows]
    fewer = fingerprint(with_train(stream, Patterns(rows[0][torch.arange(49, -1, -1)], y)))

    assert found[0] == found[2]
    assert len({found[0], found[1], fewer}) == 3
    assert [x.asked for x in rows] == [[], [], []]


def test_one_pixel_of_one_image_file_among_many_is_enough(tmp_path, monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))
    photos, rng = tmp_path / "photos", np.random.default_rng(0)
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 256, (2000, 2000), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number}.png", compress_level=0)
    words = ("benchmark=folder", f"benchmark.data_root={photos}", "benchmark.n_experiences=2")

    before, again = (fingerprint(digits(*words)) for _ in range(2))
    changed = photos / "a" / "3.png"
    pixels = np.asarray(Image.open(changed)).copy()
    pixels[1000, 1000] ^= 1
    Image.fromarray(pixels).save(changed, compress_level=0)
    after = fingerprint(digits(*words))

    assert before == again
    assert after != before


def test_of_rows_that_are_made_when_needed_a_few_are_read():
    stream = digits()
    rows = [Noting(50, value) for value in (1, 2)]
    y = torch.zeros(50, dtype=torch.int64)

    found = [fingerprint(with_train(stream, Patterns(x, y))) for x in rows]

    assert [x.asked for x in rows] == [[3], [3]]  # 32 MB over ten parts
    assert found[0] != found[1]
