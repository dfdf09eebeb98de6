"""Runs of a sweep, those that are not there yet among them."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_sweep import fail, make_sweep

from clrun.compare.compared import compared_groups
from clrun.errors import ConfigError
from clrun.sweep.outcomes import JobOutcome, write_outcome

SELECTIONS = {"random": [0.5, 0.52, 0.49, None], "herding": [0.55, 0.56, None, 0.57]}


@pytest.fixture
def sweep(written, tmp_path) -> Path:
    """Two selection strategies over four seeds; one job failed, one has not begun."""
    path = tmp_path / "sweep"
    points = [{"selection": name, "seed": str(seed)} for name in SELECTIONS for seed in range(4)]
    jobs = make_sweep(path, points)
    values = [value for of_one in SELECTIONS.values() for value in of_one]
    for job, value in zip(jobs, values, strict=True):
        if value is not None:
            options = {"selection": job.values["selection"]}
            seed = int(job.values["seed"])
            written(f"sweep/{job.folder}", value, seed=seed, options=options)
            write_outcome(path, job.number, JobOutcome(status="completed"))
    fail(path, jobs[6], "the loss is nan")
    return path


def test_the_points_of_a_sweep_are_methods_and_every_job_without_a_number_is_named(sweep):
    found = compared_groups([str(sweep)])

    assert [(m.name, len(m.runs), len(m.completed)) for m in found.methods] == [
        ("random", 4, 3),
        ("herding", 4, 3),
    ]
    assert [str(key) for key in found.plain()["comparisons"][0]["pairs"]] == ["seed 0", "seed 1"]
    assert found.missing == (
        "random: missing (1): selection=random seed=3",
        "herding: failed (1): selection=herding seed=2 (the loss is nan)",
        "random: no partner in herding (1): seed 2",
        "herding: no partner in random (1): seed 3",
    )


def test_what_is_swept_beside_the_methods_is_averaged_within_a_seed(written, tmp_path):
    path = tmp_path / "sweep"
    points = [
        {"selection": name, "strategy.mem_size": size, "seed": str(seed)}
        for name in ("random", "herding")
        for size in ("10", "20")
        for seed in range(2)
    ]
    for job in make_sweep(path, points):
        value = 0.5 + 0.1 * (job.values["selection"] == "herding")
        value += 0.2 * (job.values["strategy.mem_size"] == "20")
        options = {"selection": job.values["selection"]}
        written(f"sweep/{job.folder}", value, seed=int(job.values["seed"]), options=options)
        write_outcome(path, job.number, JobOutcome(status="completed"))

    found = compared_groups([str(path)], by=["selection"])

    assert [method.spread("acc_final").mean for method in found.methods] == [
        pytest.approx(0.6),
        pytest.approx(0.7),
    ]
    assert found.duels[0].comparison.n == 2
    assert found.notes == (
        "Each value is the mean over strategy.mem_size=10, strategy.mem_size=20 of one seed.",
    )


def test_a_sweep_of_which_nothing_is_done_has_nothing_to_compare(tmp_path):
    make_sweep(tmp_path / "sweep", [{"selection": each, "seed": "0"} for each in SELECTIONS])

    with pytest.raises(ConfigError, match="no two methods have a value of acc_final"):
        compared_groups([str(tmp_path / "sweep")])


def test_methods_that_nothing_short_tells_apart_have_names_of_their_own(written, tmp_path):
    finals = {(1, 1): 0.5, (1, 2): 0.6, (2, 1): 0.9}
    for (first, second), final in finals.items():
        keys = {"a": first, "b": first, "c": first, "d": second, "e": second}
        written(f"many/{first}{second}", final, values={"strategy": keys})
    written("other", 0.1, options={"strategy": "er"})

    found = compared_groups([str(tmp_path / "many"), str(tmp_path / "other")])

    names = [method.name for method in found.methods]
    assert len(set(names)) == 4
    assert len(found.duels) == 6
    means = {round(a.comparison.mean, 6) for a in found.duels}
    assert means == {-0.1, -0.4, -0.3, 0.4, 0.5, 0.8}
