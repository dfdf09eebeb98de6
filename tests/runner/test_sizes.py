"""Sizes that cannot fit are refused with the size, before anything starts."""

from __future__ import annotations

import time

import pytest

from clrun.cli.main import main
from clrun.config.compose import compose
from clrun.errors import ConfigError
from clrun.runner.prepare import build, prepare, ready


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["device.threads=100000"], "device.threads=100000: this machine has "),
        (
            ["strategy.train_mb_size=1000000000000"],
            "train_mb_size=1000000000000: must be at most 1e+09",
        ),
        (["strategy.eval_mb_size=100000000000000000000000"], "eval_mb_size=1000000000000000000000"),
        (
            ["strategy.memory_mb_size=1000000000000"],
            "memory_mb_size=1000000000000: must be at most 1e+09",
        ),
        (["benchmark.image_size=1000000"], "two images of 1000000x1000000 would take 8,000.0 GB"),
        (
            ["model.hidden=[10000000000]"],
            "model=mlp: with images of 8x8 and 10 classes its weights and their",
        ),
        (["model.hidden=[100000000000000000000]"], "takes more bytes than can be counted"),
    ],
    ids=str,
)
def test_what_is_too_large_is_refused_in_one_line(words, line, workplace, capsys):
    assert main(words) == 2

    output = capsys.readouterr().err
    assert line in output
    assert output.count("\n") == 1
    assert not list(workplace.iterdir())


def test_images_are_not_resized_to_more_than_there_is_memory():
    benchmark = build(compose(["benchmark.image_size=100000"]).nodes["benchmark"])

    with pytest.raises(ConfigError, match=r"image_size=100000: 1,797 images would take 17,970"):
        benchmark.load(0)


def test_many_threads_are_allowed_so_that_a_run_of_a_larger_machine_can_be_repeated():
    assert compose(["device.threads=64"]).nodes["device"].config.threads == 64


def test_an_error_of_the_model_itself_stays_what_it_is():
    with pytest.raises(ConfigError, match="mobilenet_v9"):
        prepare(compose(["model=torchvision", "model.arch=mobilenet_v9"]))


def ready_with(monkeypatch, tmp_path, memory_bytes: int, *words: str) -> None:
    (tmp_path / "memory.max").write_text(str(memory_bytes))
    monkeypatch.setattr("clrun.device.memory.CONTAINER", tmp_path / "memory.max")
    ready(compose(["device=cpu", "benchmark.limit_per_class=20", *words]))


def test_minibatches_that_cannot_fit_are_refused_with_the_keys_to_lower(monkeypatch, tmp_path):
    words = ["strategy=naive", "model=cnn", "benchmark.image_size=256"]

    with pytest.raises(ConfigError) as refused:
        ready_with(monkeypatch, tmp_path, 400_000_000, *words)

    line = str(refused.value)
    assert line.startswith("strategy.train_mb_size=32: one update with 32 images of 256x256 would ")
    assert "this machine has 0.4 GB. Lower one of strategy.train_mb_size=32, " in line
    assert "benchmark.image_size=256" in line
    ready_with(monkeypatch, tmp_path, 4_000_000_000, *words)


def test_of_a_minibatch_only_the_rows_that_there_are_count(monkeypatch, tmp_path):
    words = ["strategy=naive", "model=cnn", "strategy.train_mb_size=1000000000"]

    ready_with(monkeypatch, tmp_path, 400_000_000, *words)


def test_a_model_is_refused_before_its_memory_is_touched(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"its weights and their gradients take at least 0\.8 GB"):
        ready_with(monkeypatch, tmp_path, 400_000_000, "model.hidden=[10000,10000]")


def test_images_too_large_to_compute_are_looked_at_without_computing():
    start = time.monotonic()

    prepared = prepare(compose(["model=cnn", "benchmark.image_size=4000", "device=cpu"]))

    assert prepared.pattern_macs > 10**9
    assert time.monotonic() - start < 60  # computed, it took 200 s
