from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import clrun
from clrun.config.option_file import read_option
from clrun.config.sources import conf_root, options
from clrun.preview.updates import expected_updates
from clrun.runner.prepare import build

QUICK = ("device=cpu", "device.threads=1", "model=mlp", "model.hidden=[8]", "eval.initial=false")
SHORT = ("strategy.train_epochs=2", "benchmark.limit_per_class=40", "strategy.eval_every=-1")
CUT = ("strategy.latent_layer=features.relu0", "strategy.train_mb_size=32")
NIC = ("benchmark.scenario=nic", "benchmark.n_experiences=20")
NI = ("benchmark.scenario=ni", "benchmark.n_experiences=4")
STRATEGIES = [option.name for option in options("strategy")]


@pytest.mark.parametrize(
    "words",
    [
        ("strategy=naive",),
        ("strategy=naive", "strategy.train_mb_size=7", "benchmark.validation_fraction=0.3"),
        ("strategy=cumulative",),
        ("strategy=joint",),
        ("strategy=lwf",),
        ("strategy=er_ace",),
        ("strategy=er_ace", "strategy.mix=split", "strategy.memory_update=experience"),
        ("strategy=replay",),
        ("strategy=replay", "strategy.mem_size=11", "strategy.train_mb_size=9"),
        ("strategy=replay", "strategy.mix=add", "strategy.epoch_length=longest"),
        ("strategy=replay", "strategy.memory_mb_size=20"),
        ("strategy=replay", "strategy.balance=none"),
        ("strategy=replay", "strategy.balance=class", "storage_policy=class_balanced", *NI),
        (
            *("strategy=replay", "strategy.balance=class", "storage_policy=reservoir", *NIC),
            *("strategy.epoch_length=longest", "strategy.mem_size=40"),
        ),
        ("strategy=replay", "strategy.memory_update=minibatch"),
        ("strategy=replay", "strategy.memory_update=minibatch", "strategy.mix=add"),
        ("strategy=icarl", "strategy.mem_size=50", "selection=random"),
        ("strategy=icarl", "storage_policy=reservoir", "selection=random", *NIC),
        ("strategy=scr",),
        ("strategy=scr", "strategy.memory_update=experience"),
        ("strategy=ar1", *CUT),
        ("strategy=ar1", *CUT, *NIC, "strategy.rm_sz=30"),
        ("strategy=ar1", *CUT, "strategy.rm_sz=0"),
        ("strategy=ar1", *CUT, "strategy.rm_bytes=2000"),
    ],
    ids=" ".join,
)
def test_a_run_makes_the_updates_that_were_expected(words: tuple[str, ...], tmp_path: Path) -> None:
    config = clrun.compose([*QUICK, *SHORT, *words])

    expected = expected_updates(config, build(config.nodes["benchmark"]).load(config.seed))
    results = clrun.run(config, tmp_path / "run")

    assert expected.note is None
    assert expected.total == results.cost["train_steps"]
    assert expected.by_experience in (None, updates_by_experience(tmp_path / "run"))


@pytest.fixture
def new_memory_is_nan() -> Iterator[None]:
    """PyTorch fills with NaN what nobody has written yet."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


OPTION_KEYS = {"ar1": CUT}
"""Keys that an option of conf/strategy needs to learn these small images with this model."""


def words_of(name: str) -> list[str]:
    """A short run of an option, which may have no key of descent."""
    known = read_option("strategy", name).keys
    keys = [word.partition("=")[0].partition(".") for word in SHORT]
    short = [
        w
        for w, (group, _, key) in zip(SHORT, keys, strict=True)
        if group != "strategy" or key in known
    ]
    return [*QUICK, *short, f"strategy={name}", *OPTION_KEYS.get(name, ())]


@pytest.mark.parametrize("name", STRATEGIES)
def test_counting_reads_nothing_that_nobody_wrote(name: str, new_memory_is_nan) -> None:
    config = clrun.compose(words_of(name))

    expected = expected_updates(config, build(config.nodes["benchmark"]).load(config.seed))

    assert expected.total is not None


def updates_by_experience(folder: Path) -> list[int]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    ends = [line["iteration"] for line in lines if line["kind"] == "experience"]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_option_makes_the_updates_that_it_says(name: str, tmp_path: Path) -> None:
    config = clrun.compose(words_of(name))

    expected = expected_updates(config, build(config.nodes["benchmark"]).load(config.seed))
    results = clrun.run(config, tmp_path / "run")

    assert results.cost["train_steps"] > 0
    assert expected.total == results.cost["train_steps"]
    assert expected.by_experience in (None, updates_by_experience(tmp_path / "run"))


def test_a_memory_that_a_model_fills_is_counted_as_a_random_one() -> None:
    words = [*QUICK, *SHORT, "strategy.balance=class"]
    by_model = clrun.compose([*words, "selection=herding"])
    at_random = clrun.compose(words)
    stream = build(at_random.nodes["benchmark"]).load(0)

    expected = expected_updates(by_model, stream)

    assert expected.note == "counted as for selection=random"
    assert expected.by_experience == expected_updates(at_random, stream).by_experience


def test_minibatches_that_cannot_be_made_up_are_shown_with_the_stream() -> None:
    config = clrun.compose([*QUICK, "strategy.train_mb_size=12", "strategy.balance=class", *NI])
    stream = build(config.nodes["benchmark"]).load(0)
    tight = clrun.compose([*QUICK, "strategy.train_mb_size=5", "strategy.balance=class", *NI])

    assert expected_updates(config, stream).total is not None
    expected = expected_updates(tight, stream)

    assert expected.total is None
    assert expected.note is not None
    assert expected.note.startswith("a run would stop: strategy.train_mb_size=5: fewer rows than")


ELSEWHERE = '''
from dataclasses import dataclass

from clrun.strategies.naive import Naive
from clrun.strategies.step import START


class Once(Naive):
    """Makes one update of each experience."""

    def learn(self, experience, start=START):
        yield next(super().learn(experience, start))


class CountedOnce(Once):
    @classmethod
    def updates(cls, config, ahead):
        return [1 for _ in ahead.labels]


class Plain:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        rounds: int

    @classmethod
    def updates(cls, config, ahead):
        return [config.rounds * len(y) for y in ahead.labels]

    def learn(self, experience, start=START):
        yield from ()

    def predict(self, x):
        raise NotImplementedError
'''


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with options once, counted_once and plain, of a package that is not ours."""
    (tmp_path / "counted_elsewhere.py").write_text(ELSEWHERE)
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    naive = (conf_root() / "strategy" / "naive.yaml").read_text()
    ours = "clrun.strategies.naive:Naive"
    for name, content in {
        "once": naive.replace(ours, "counted_elsewhere:Once"),
        "counted_once": naive.replace(ours, "counted_elsewhere:CountedOnce"),
        "plain": "# Plain.\ntarget: counted_elsewhere:Plain\nrounds: 3  # per row\n",
    }.items():
        (tmp_path / "conf" / "strategy" / f"{name}.yaml").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "conf"
    sys.modules.pop("counted_elsewhere", None)


@pytest.mark.parametrize(("name", "total"), [("counted_once", 5), ("plain", 3 * 1442)])
def test_a_strategy_from_elsewhere_says_how_many_it_makes(name, total, elsewhere) -> None:
    config = clrun.compose([*QUICK, f"strategy={name}"], config_dirs=[elsewhere], trust=True)

    expected = expected_updates(config, build(config.nodes["benchmark"]).load(0))

    assert expected.total == total
    assert expected.note is None


def test_a_loop_of_one_s_own_does_not_inherit_the_number_of_another(elsewhere) -> None:
    config = clrun.compose([*QUICK, "strategy=once"], config_dirs=[elsewhere], trust=True)

    expected = expected_updates(config, build(config.nodes["benchmark"]).load(0))

    assert expected.total is None
    assert expected.note == "this strategy does not say how many updates it makes"


def test_thousands_of_small_experiences_are_counted_quickly() -> None:
    words = ["benchmark.scenario=ni", "benchmark.n_experiences=300", "strategy.balance=none"]
    config = clrun.compose(words)
    stream = build(config.nodes["benchmark"]).load(0)

    expected = expected_updates(config, stream)

    assert expected.by_experience == [20] * 300
