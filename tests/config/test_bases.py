"""Classes from elsewhere: what they do not declare comes from the base class of their group."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clrun
from clrun.cli.main import main
from clrun.config.bases import completed, component
from clrun.errors import ConfigError
from clrun.strategies.naive import Naive
from clrun.strategies.strategy import Strategy

NEAREST_MEAN = '''
"""A strategy that inherits from nothing and has one key."""

from dataclasses import dataclass

import torch

from clrun.strategies.step import START, Step


class NearestMean:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        prior: float

    def __init__(self, config, parts):
        self.config, self.parts = config, parts
        self.sums, self.counts = 0, torch.full((parts.num_classes,), config.prior)

    def learn(self, experience, start=START):
        x, y = experience.train
        rows = x.index_select(0, torch.arange(len(y))).flatten(1).float()
        self.sums = self.sums + torch.zeros(len(self.counts), rows.shape[1]).index_add(0, y, rows)
        self.counts += torch.bincount(y, minlength=len(self.counts))
        nothing = torch.zeros(())
        yield Step(nothing, nothing.long(), len(y), 0, 0, 0, 1)

    def {predict}(self, x):
        means = (self.sums / self.counts[:, None]).expand(-1, x[0].numel())
        return -torch.cdist(x.flatten(1).float(), means)
'''


@pytest.fixture
def nearest_mean(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Name of the prediction method -> the folder with its option; the module can be imported."""

    def make(name: str, predict: str = "predict") -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.py").write_text(NEAREST_MEAN.replace("{predict}", predict))
        (folder / "conf" / "strategy").mkdir(parents=True)
        (folder / "conf" / "strategy" / "nearest_mean.yaml").write_text(
            f"# Nearest class mean.\ntarget: {name}:NearestMean\nprior: 1.0  # rows at the origin\n"
        )
        monkeypatch.syspath_prepend(str(folder))
        return folder / "conf"

    return make


WORDS = ("strategy=nearest_mean", "device=cpu", "model.hidden=[8]")


def test_a_strategy_with_one_key_of_its_own_runs_and_claims_no_cost(nearest_mean, tmp_path) -> None:
    config = clrun.compose([*WORDS], config_dirs=[nearest_mean("one_key")], trust=True)

    results = clrun.run(config, tmp_path / "run")

    assert results.metrics["acc_final"] > 0.7
    assert results.cost["train_macs"] is None
    assert results.notes["train_macs"] == "this strategy does not count its multiply-accumulates"
    assert results.memory["rows"] == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())["cost"]["train_steps"] == 5


def test_a_strategy_with_one_key_can_be_previewed(nearest_mean, capsys) -> None:
    folder = nearest_mean("previewed")

    code = main(["preview", *WORDS, "--config-dir", str(folder), "--trust"])

    assert code == 0
    assert "does not say how many updates it makes" in " ".join(capsys.readouterr().out.split())


def test_a_strategy_with_one_key_can_be_profiled(nearest_mean, workplace, capsys) -> None:
    folder = nearest_mean("profiled")

    code = main(["profile", *WORDS, "--config-dir", str(folder), "--trust"])

    assert code == 0, capsys.readouterr().err


def test_a_missing_member_is_named_in_one_line_before_anything_starts(
    nearest_mean, workplace, capsys
) -> None:
    folder = nearest_mean("guesses", predict="guess")

    code = main([*WORDS, "--config-dir", str(folder), "--trust"])

    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert lines == [
        "clrun: strategy.target=guesses:NearestMean: the class has no predict, which every "
        "strategy needs. See clrun.strategies.strategy.Strategy."
    ]
    assert list(workplace.iterdir()) == []


def test_an_option_without_keys_says_so() -> None:
    with pytest.raises(ConfigError, match=r"c=1: there is no such key\. .*It has no keys\.$"):
        clrun.compose(["selection=random", "+selection.c=1"])


def test_a_class_that_inherits_is_itself() -> None:
    assert component(clrun.compose(["strategy=naive"]).nodes["strategy"]) is Naive


def test_what_a_class_declares_comes_before_the_defaults() -> None:
    class Elsewhere:
        whole_stream = True

        def learn(self) -> Iterator[None]:
            yield from ()

    whole = completed(Elsewhere, Strategy)

    assert whole.whole_stream
    assert whole.learn is Elsewhere.learn
    assert not whole.uses_memory
    assert whole.__name__ == "Elsewhere"
