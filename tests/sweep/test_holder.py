"""What a holder has in memory for the units of its benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clrun import compose
from clrun.errors import ClrunError
from clrun.runner.prepare import load_stream
from clrun.sweep.holder import HELD_SEEDS, Loaded, Streams
from clrun.sweep.pool import stream_of
from clrun.sweep.unit import Unit

WORDS = ("strategy=naive", "benchmark.class_order=shuffled", "benchmark.limit_per_class=5")


def unit(folder: Path, *words: str) -> Unit:
    config = compose([*WORDS, *words]).plain()
    return Unit(name="u", lease=folder, outcome=folder, folder=folder, config=config, threads=1)


def loaded(streams: Streams, folder: Path, *words: str) -> Loaded:
    found = streams.of(unit(folder, *words).config)
    assert isinstance(found, Loaded)
    return found


def test_seeds_are_streams_of_rows_that_are_read_once(tmp_path: Path):
    streams = Streams(tmp_path)

    found = [loaded(streams, tmp_path, f"seed={seed}").stream for seed in (3, 4, 3)]

    alone = [load_stream(compose([*WORDS, f"seed={seed}"])) for seed in (3, 4, 3)]
    assert [each.fingerprint for each in found] == [each.fingerprint for each in alone]
    assert found[0].fingerprint != found[1].fingerprint
    assert found[0] is found[2]
    assert found[0].source is found[1].source


def test_of_many_seeds_the_last_are_held(tmp_path: Path):
    streams = Streams(tmp_path)
    first = loaded(streams, tmp_path, "seed=0").stream

    for seed in range(1, HELD_SEEDS + 1):
        loaded(streams, tmp_path, f"seed={seed}")

    again = loaded(streams, tmp_path, "seed=0").stream
    assert again is not first
    assert again.fingerprint == first.fingerprint


def test_what_cannot_be_read_is_said_for_each_unit_and_keeps_nothing(tmp_path: Path):
    streams = Streams(tmp_path)
    missing: dict[str, Any] = dict(unit(tmp_path).config)
    missing["nodes"] = {**missing["nodes"]}
    missing["nodes"]["benchmark"] = compose(
        ["benchmark=split_mnist", f"benchmark.data_root={tmp_path}", "benchmark.download=false"]
    ).plain()["nodes"]["benchmark"]

    reasons = [streams.of(missing) for _ in range(2)]

    assert all(isinstance(reason, ClrunError) for reason in reasons)


@pytest.mark.parametrize(
    ("words", "is_same"),
    [
        (("seed=7",), True),
        (("strategy.lr=0.5", "model=cnn"), True),
        (("benchmark.limit_per_class=6",), False),
        (("first_experiences=2",), False),
        (("eval.stream=validation", "benchmark.validation_fraction=0.1"), False),
    ],
)
def test_units_are_of_one_holder_whose_data_are_the_same(
    words: tuple[str, ...], is_same: bool, tmp_path: Path
):
    one, other = unit(tmp_path), unit(tmp_path, *words)

    assert (stream_of(one) == stream_of(other)) is is_same


def test_a_benchmark_that_reads_for_each_seed_has_a_holder_for_each(tmp_path: Path):
    def of(seed: int) -> Unit:
        plain = compose(["benchmark=core50_nc", "strategy=naive", f"seed={seed}"]).plain()
        return Unit(
            name="u", lease=tmp_path, outcome=tmp_path, folder=tmp_path, config=plain, threads=1
        )

    assert stream_of(of(0)) != stream_of(of(1))
