"""A component that names a part: a benchmark and a source of another package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clrun.config.compose import compose
from clrun.errors import ConfigError
from clrun.runner.building import build

STRIPES = '''
from dataclasses import dataclass

import torch

from clrun.config.bounds import Count
from clrun.images.patterns import Patterns
from clrun.sources.source import SourceData


class Stripes:
    """Images of class k have a white row k."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        classes: Count
        image_size: Count | None

        @property
        def num_classes(self):
            return self.classes

    name, channels, mean, std = "stripes", 1, (0.5,), (0.5,)

    def __init__(self, config):
        self.height = self.width = config.image_size or 8
        self.class_names = tuple(f"row {k}" for k in range(config.classes))

    def check(self, root, *, download):
        pass

    def load(self, root, *, download, on_progress=None):
        y = torch.arange(len(self.class_names)).repeat(3)
        x = torch.zeros(len(y), 1, self.height, self.width, dtype=torch.uint8)
        x[torch.arange(len(y)), 0, y] = 255
        return SourceData(Patterns(x, y), Patterns(x, y))
'''
OPTION = """# Stripes, a height for each class.
defaults:
  - _split
  - _self_
source: {source}
n_experiences: 2
classes: 4  # how many heights; 1, 2, ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request) -> Path:
    """What another package has: one Python file and one YAML, in a module of the test's name."""
    module = f"stripes_{abs(hash(request.node.name))}"
    (tmp_path / f"{module}.py").write_text(STRIPES)
    (tmp_path / "conf" / "benchmark").mkdir(parents=True)
    text = OPTION.format(source=f"{module}:Stripes")
    (tmp_path / "conf" / "benchmark" / "stripes.yaml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def composed(folder: Path, *words: str):
    where = {"config_dirs": [folder / "conf"], "trust": True}
    return compose(["benchmark=stripes", *words], **where).nodes["benchmark"]


def test_a_source_of_another_package_is_cut_into_a_stream(folder):
    node = composed(folder, "benchmark.classes=6", "benchmark.n_experiences=3")

    benchmark = build(node).load(0)

    assert node.parts["source"].config.num_classes == 6
    assert [e.classes for e in benchmark] == [(0, 1), (2, 3), (4, 5)]
    assert benchmark.class_names[5] == "row 5"
    assert torch.equal(
        benchmark.experiences[0].train.x[:, 0, :, 0].argmax(1).unique(), torch.arange(2)
    )


def test_a_key_that_benchmark_and_source_share_has_one_value(folder):
    node = composed(folder, "benchmark.image_size=12")

    assert node.config.image_size == node.parts["source"].config.image_size == 12
    assert build(node).shape().height == 12


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        (["benchmark.classes=x"], ["benchmark.classes=x: must be a whole number."]),
        (
            ["benchmark.image_size=0", "benchmark.classes=0"],
            [
                "benchmark.image_size=0: must be at least 1.",
                "benchmark.classes=0: must be at least 1.",
            ],
        ),
        (
            ["benchmark.n_experiences=3"],
            [
                "benchmark.n_experiences=3: does not divide 4 classes. Use one of 1, 2, 4, or say "
                "first_experience_classes or classes_per_experience."
            ],
        ),
    ],
)
def test_what_is_wrong_with_either_is_one_line_each(folder, words, problems):
    with pytest.raises(ConfigError) as caught:
        composed(folder, *words)

    assert caught.value.problems == problems


def test_a_key_of_neither_is_refused_with_the_keys_of_both(folder):
    with pytest.raises(
        ConfigError, match=r"clases=2: there is no such key\. Did you mean 'classes"
    ) as caught:
        composed(folder, "benchmark.clases=2")

    assert "n_experiences" in str(caught.value)


def test_a_source_is_named_shortly_or_by_its_class():
    with pytest.raises(ConfigError) as caught:
        compose(["benchmark.source=minst"])

    assert caught.value.problems == [
        "benchmark.source=minst: must be one of digits, mnist, fashion_mnist, cifar10, cifar100, "
        "cifar100_coarse, tiny_imagenet, torchvision, or package.module:Class. "
        "Did you mean 'mnist'?"
    ]


def test_another_source_brings_its_own_keys():
    node = compose(["benchmark.source=torchvision", "+benchmark.dataset=KMNIST"]).nodes["benchmark"]

    assert node.parts["source"].config.dataset == "KMNIST"


def test_checking_a_source_imports_neither_torch_nor_its_module(folder):
    module = next(folder.glob("*.py")).stem
    code = (
        "import pathlib, sys; from clrun.config.compose import compose; "
        "compose(['benchmark=stripes'], config_dirs=[pathlib.Path('conf')], trust=True); "
        f"sys.exit('torch' in sys.modules or '{module}' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join([str(folder), *sys.path])}

    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=False)

    assert done.returncode == 0
