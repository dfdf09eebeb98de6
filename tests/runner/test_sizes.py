"""Sizes that cannot fit are refused with the size, before anything starts."""

from __future__ import annotations

import pytest

from clrun.cli.main import main
from clrun.config.compose import compose
from clrun.errors import ConfigError
from clrun.runner.prepare import build, prepare


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["device.threads=100000"], "device.threads=100000: this machine has "),
        (["benchmark.image_size=1000000"], "two images of 1000000x1000000 would take 8,000.0 GB"),
        (["model.hidden=[10000000000]"], "model=mlp: with images of 8x8 and 10 classes one tensor"),
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
