from __future__ import annotations

import pytest

from clrun.config.compose import compose
from clrun.sweep.beside import Beside, references_of
from clrun.sweep.expand import Point
from clrun.sweep.manifest import Job
from clrun.sweep.references import with_references


def point(*words: str) -> Point:
    config = compose(words)
    return Point(words=words, values={}, config=config, hash=config.hash(), folder="f")


def made(*points: Point) -> list[Point]:
    return with_references(points, compose)


def jobs_of(points: list[Point]) -> list[Job]:
    return [
        Job(
            number=number,
            overrides=each.words,
            values=each.values,
            folder=each.folder,
            config=each.config.plain(),
            identity={"config_hash": each.hash, "threads": 1},
            is_reference=each.is_reference,
        )
        for number, each in enumerate(points)
    ]


def test_a_reference_has_the_stream_model_seed_and_the_shared_keys_of_the_strategy():
    own = point(
        *("strategy=replay", "strategy.mem_size=50", "strategy.lr=0.02", "strategy.train_epochs=3"),
        *("selection=herding", "model.hidden=[16,8]", "benchmark.n_experiences=2", "seed=4"),
        *("strategy.plugins=[{name: si, ewc_lambda: 1.0}]", "eval.every_steps=5"),
    )

    _, naive, joint = made(own)

    assert [each.config.nodes["strategy"].option for each in (naive, joint)] == ["naive", "joint"]
    assert all(each.is_reference for each in (naive, joint))
    for each in (naive, joint):
        values = each.config.nodes["strategy"].values
        assert (values["lr"], values["train_epochs"], values["plugins"]) == (0.02, 3, [])
        assert each.config.seed == 4
        for group in ("benchmark", "model", "eval", "device"):
            assert each.config.nodes[group].values == own.config.nodes[group].values
        assert compose(list(each.words)).hash() == each.hash


@pytest.mark.parametrize(
    "words",
    [
        ("strategy=ar1", "benchmark=digits"),
        ("experiment=ar1_digits",),
        ("experiment=er_split_fashion_mnist", "benchmark.data_root=somewhere"),
    ],
    ids=" ".join,
)
def test_what_a_strategy_or_a_recipe_chooses_is_chosen_for_its_references(words):
    own = point(*words)

    _, *references = made(own)

    assert len(references) == 2
    for each in references:
        for group in ("benchmark", "model", "eval", "device"):
            assert each.config.nodes[group].option == own.config.nodes[group].option
            assert each.config.nodes[group].values == own.config.nodes[group].values
        assert compose(list(each.words)).hash() == each.hash


def test_points_with_the_same_references_have_them_once_and_a_point_may_be_one():
    points = [point("strategy=replay", f"selection={each}") for each in ("random", "herding")]
    naive = point("strategy=naive")

    added = made(*points, naive)[3:]

    assert [each.config.nodes["strategy"].option for each in added] == ["joint"]


def test_each_job_finds_its_own_references_and_a_reference_has_none():
    points = made(
        *(point("strategy=replay", f"strategy.lr={lr}", "seed=1") for lr in (0.1, 0.2)),
    )

    found = references_of(jobs_of(points))

    assert [p.config.nodes["strategy"].values["lr"] for p in points] == [
        0.1,
        0.2,
        0.1,
        0.1,
        0.2,
        0.2,
    ]
    assert found == {0: Beside(naive=2, joint=3), 1: Beside(naive=4, joint=5)}


def test_a_run_of_another_stream_is_no_reference():
    jobs = jobs_of([point("strategy=replay"), point("strategy=naive", "benchmark.n_experiences=2")])

    assert references_of(jobs) == {}
