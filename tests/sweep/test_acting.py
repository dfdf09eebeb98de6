"""From when on the keys of a job act, and the tree that follows from it for any jobs of a sweep."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from typing import Any

import pytest

import clrun
from clrun.config.moment import BEGINNING, FIRST_LEARNT, SECOND, Moment
from clrun.config.trust import Trust, trusting
from clrun.sweep.acting import Acting, acting
from clrun.sweep.manifest import Job
from clrun.sweep.prefix import units
from clrun.sweep.record import SweepOptions
from clrun.sweep.unit import Unit

hypothesis = pytest.importorskip("hypothesis")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

OWN = """
from clrun.config.moment import SECOND
from clrun.strategies.naive import Naive
from clrun.strategies.replay import Replay


class Inherits(Replay):
    def learn(self, experience, start=(0, 0)):
        yield from super().learn(experience, start)


class Declares(Naive):
    class Config(Naive.Config):
        def acts_from(self):
            return {"l2": SECOND}
"""


@cache
def plain(*overrides: str) -> dict[str, Any]:
    return clrun.compose([*overrides]).plain()


def later(found: dict[str, Acting]) -> dict[str, Moment]:
    return {key: act.moment for key, act in found.items() if act.moment > BEGINNING}


def test_it_is_read_without_torch():
    program = (
        "import sys, clrun\n"
        "from clrun.sweep.prefix import units\n"
        "from clrun.sweep.acting import acting\n"
        "found = acting(clrun.compose(['strategy=ar1']).plain())\n"
        "assert found['strategy.rm_sz'].moment > (0, False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", ["Inherits", "Declares"])
def test_a_class_of_ones_own_says_it_anew_or_shares_nothing(name, tmp_path, monkeypatch):
    module = f"own_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    config = copy.deepcopy(plain("strategy=naive" if name == "Declares" else "strategy=replay"))
    config["nodes"]["strategy"]["target"] = f"{module}:{name}"

    with trusting(Trust(everything=True)):
        found = later(acting(config))

    assert found == ({"strategy.l2": SECOND} if name == "Declares" else {})


def test_a_class_that_is_not_trusted_shares_nothing(tmp_path, monkeypatch):
    (tmp_path / "own_untrusted.py").write_text(f"raise SystemExit\n{OWN}")
    monkeypatch.syspath_prepend(tmp_path)
    config = copy.deepcopy(plain("strategy=naive"))
    config["nodes"]["strategy"]["target"] = "own_untrusted:Declares"

    assert later(acting(config)) == {}


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        (("eval=seen",), FIRST_LEARNT),
        (("eval=seen", "strategy.eval_every=5", "strategy.train_epochs=4"), FIRST_LEARNT),
        (("eval=seen", "strategy.eval_every=2", "strategy.train_epochs=4"), BEGINNING),
        (("eval=full",), BEGINNING),
    ],
)
def test_how_a_run_is_scored_acts_from_the_first_evaluation_on(words, moment):
    found = acting(plain("strategy=naive", *words))

    keys = ("eval.stream", "eval.experiences", "eval.limit_per_experience")
    assert {found[key].moment for key in (*keys, "strategy.eval_mb_size")} == {moment}


VALUES: dict[str, tuple[Any, ...]] = {
    "rm_sz": (5, 7),
    "ewc_lambda": (0.0, 1.0, 2.0),
    "inc_lr": (None, 0.1),
    "lr": (0.1, 0.2),
}
SEEDS = (0, 1)


def job(number: int, seed: int, values: dict[str, Any]) -> Job:
    config = copy.deepcopy(
        plain("strategy=ar1", "model=mlp", "strategy.latent_layer=features.relu0")
    )
    config["root"]["seed"] = seed
    config["nodes"]["strategy"]["values"] |= values
    name = f"{seed}-{'-'.join(map(str, values.values()))}"
    return Job(
        number=number,
        overrides=(),
        values={},
        folder=name,
        config=config,
        identity={"config_hash": name, "threads": 1},
    )


points = st.lists(
    st.tuples(st.sampled_from(SEEDS), *(st.sampled_from(VALUES[key]) for key in VALUES)),
    min_size=1,
    max_size=8,
    unique=True,
)


def needed(unit: Unit) -> Iterator[Unit]:
    while unit.needs is not None:
        unit = unit.needs
        yield unit


def first_difference(a: dict[str, Acting], b: dict[str, Acting]) -> Moment | None:
    differing = [key for key in a if a[key].value != b[key].value]
    return min((min(a[key].moment, b[key].moment) for key in differing), default=None)


@given(points=points)
@settings(deadline=None, max_examples=60)
def test_the_tree_covers_all_jobs_and_joins_those_that_agree(points, tmp_path_factory):
    sweep = tmp_path_factory.getbasetemp() / "planned"
    jobs = [
        job(number, seed, dict(zip(VALUES, values, strict=True)))
        for number, (seed, *values) in enumerate(points)
    ]

    planned = units(sweep, jobs, SweepOptions())

    assert [unit.job for unit in planned] == jobs
    for unit in planned:
        own = acting(unit.config)
        moments = [shared.until for shared in needed(unit)]
        assert moments == sorted(set(moments), reverse=True)
        for shared in needed(unit):
            led = acting(shared.config)
            difference = first_difference(own, led)
            assert difference is None or difference >= shared.until
            assert all(led[key].moment >= own[key].moment for key in own)
    for one, other in combinations(planned, 2):
        difference = first_difference(acting(one.config), acting(other.config))
        common = {u.folder for u in needed(one)} & {u.folder for u in needed(other)}
        latest = max((u.until for u in needed(one) if u.folder in common), default=BEGINNING)
        assert latest == difference
    users = [u.folder for unit in planned for u in needed(unit)]
    assert all(users.count(folder) > 1 for folder in users)


def test_a_shared_beginning_is_the_same_each_time(tmp_path):
    jobs = [job(n, 0, {"rm_sz": size, "ewc_lambda": 1.0}) for n, size in enumerate((5, 7))]

    one, other = (units(tmp_path, jobs, SweepOptions()) for _ in range(2))

    assert one == other
