from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import clrun
from clrun.config.sources import conf_root
from clrun.preview.updates import foretold
from clrun.runner.prepare import build

QUICK = ("device=cpu", "device.threads=1", "model=mlp", "model.hidden=[8]", "eval.initial=false")
SHORT = ("strategy.train_epochs=2", "benchmark.limit_per_class=40", "strategy.eval_every=-1")
CUT = ("strategy.latent_layer=features.relu0", "strategy.train_mb_size=32")
NIC = ("benchmark.scenario=nic", "benchmark.n_experiences=20")
NI = ("benchmark.scenario=ni", "benchmark.n_experiences=4")
STRATEGIES = sorted(path.stem for path in (conf_root() / "strategy").glob("*.yaml"))


@pytest.mark.parametrize(
    "words",
    [
        ("strategy=naive",),
        ("strategy=naive", "strategy.train_mb_size=7", "benchmark.validation_fraction=0.3"),
        ("strategy=cumulative",),
        ("strategy=joint",),
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
        ("strategy=ar1", *CUT),
        ("strategy=ar1", *CUT, *NIC, "strategy.rm_sz=30"),
        ("strategy=ar1", *CUT, "strategy.rm_sz=0"),
        ("strategy=ar1", *CUT, "strategy.rm_bytes=2000"),
    ],
    ids=" ".join,
)
def test_a_run_makes_the_updates_that_were_foretold(words: tuple[str, ...], tmp_path: Path) -> None:
    config = clrun.compose([*QUICK, *SHORT, *words])

    told = foretold(config, build(config.nodes["benchmark"]).load(config.seed))
    results = clrun.run(config, tmp_path / "run")

    assert told.note is None
    assert told.total == results.cost["train_steps"]
    assert told.by_experience in (None, updates_by_experience(tmp_path / "run"))


def updates_by_experience(folder: Path) -> list[int]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    ends = [line["iteration"] for line in lines if line["kind"] == "experience"]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_of_ours_is_foretold(name: str) -> None:
    config = clrun.compose([f"strategy={name}"])

    told = foretold(config, build(config.nodes["benchmark"]).load(config.seed))

    assert told.total is not None
    assert told.total > 0


def test_a_memory_that_a_model_fills_is_counted_as_a_random_one() -> None:
    words = [*QUICK, *SHORT, "strategy.balance=class"]
    by_model = clrun.compose([*words, "selection=herding"])
    at_random = clrun.compose(words)
    stream = build(at_random.nodes["benchmark"]).load(0)

    told = foretold(by_model, stream)

    assert told.note == "counted as for selection=random"
    assert told.by_experience == foretold(at_random, stream).by_experience


def test_minibatches_that_cannot_be_made_up_are_told_with_the_stream() -> None:
    config = clrun.compose([*QUICK, "strategy.train_mb_size=12", "strategy.balance=class", *NI])
    stream = build(config.nodes["benchmark"]).load(0)
    tight = clrun.compose([*QUICK, "strategy.train_mb_size=5", "strategy.balance=class", *NI])

    assert foretold(config, stream).total is not None
    told = foretold(tight, stream)

    assert told.total is None
    assert told.note is not None
    assert told.note.startswith("a run would stop: strategy.train_mb_size=5: fewer rows than")


def test_a_strategy_from_elsewhere_has_no_number_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = Path(__file__).resolve().parents[1] / "packages" / "clrun_freeze"
    monkeypatch.syspath_prepend(str(package))
    config = clrun.compose(["strategy=freeze"], config_dirs=[package / "clrun_freeze" / "conf"])

    told = foretold(config, build(config.nodes["benchmark"]).load(0))
    sys.modules.pop("clrun_freeze")

    assert told.total is None
    assert told.note == "this strategy does not say how many updates it makes"


def test_thousands_of_small_experiences_are_foretold_quickly() -> None:
    words = ["benchmark.scenario=ni", "benchmark.n_experiences=300", "strategy.balance=none"]
    config = clrun.compose(words)
    stream = build(config.nodes["benchmark"]).load(0)

    told = foretold(config, stream)

    assert told.by_experience == [20] * 300
