from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making_sweeps import SHORT, written_sweep

from clrun.records.spread import spread
from clrun.sweep.manifest import Job, read_manifest
from clrun.sweep.outcomes import JobOutcome, write_outcome
from clrun.sweep.record import read_record, write_record
from clrun.sweep.rounds import grow, missing_seeds

values = st.lists(st.floats(0, 1).map(lambda value: round(value, 3)), max_size=30)
AUTO = {"seeds": "auto", "seeds_width": 0.1, "seeds_max": 8, "references": False}


@pytest.mark.parametrize(
    ("known", "width", "most", "missing"),
    [
        pytest.param([0.5] * 5, 0.02, 20, 0, id="no spread at all"),
        # t(4) = 2.776, SD 0.0158: 2 * 2.776 * 0.0158 / sqrt(5) = 0.0393
        pytest.param([0.48, 0.49, 0.5, 0.51, 0.52], 0.04, 20, 0, id="just narrow enough"),
        # with 6 seeds, t(5) = 2.571: 0.0332; with 7, t(6) = 2.447: 0.0292
        pytest.param([0.48, 0.49, 0.5, 0.51, 0.52], 0.03, 20, 2, id="as many as would do"),
        pytest.param([0.48, 0.49, 0.5, 0.51, 0.52], 0.001, 20, 5, id="at most doubled"),
        pytest.param([0.48, 0.49, 0.5, 0.51, 0.52], 0.001, 7, 2, id="up to the most"),
        pytest.param([0.48, 0.49, 0.5, 0.51, 0.52], 0.001, 5, 0, id="the most"),
        pytest.param([0.5], 0.1, 20, 1, id="one says nothing"),
        pytest.param([0.5], 0.1, 1, 0, id="one alone"),
    ],
)
def test_so_many_seeds_are_missing(known, width, most, missing):
    assert missing_seeds(known, width=width, most=most) == missing


@given(values, st.floats(0.01, 1), st.integers(1, 20))
@settings(deadline=None, max_examples=80)
def test_it_ends_with_a_narrow_interval_or_with_the_most_and_never_goes_beyond(known, width, most):
    more = missing_seeds(known, width=width, most=most)

    assert 0 <= more <= max(len(known), 2)
    assert len(known) + more <= max(most, len(known))
    half = spread(known).half_width if known else None
    is_narrow = half is not None and 2 * half < width
    assert (more == 0) == (is_narrow or len(known) >= most)


def ended(path: Path, job: Job, accuracy: float | None) -> None:
    """A job that is over, with this final accuracy or failed."""
    folder = path / job.folder
    folder.mkdir(exist_ok=True)
    text = f'{{\n  "metrics": {{"acc_final": {accuracy}}},\n  "cost": {{}}\n}}'
    (folder / "results.json").write_text(text if accuracy is not None else "")
    status = "failed" if accuracy is None else "completed"
    write_outcome(path, job.number, JobOutcome(status=status))


def auto_sweep(path: Path, accuracies: list[float | None], **keys: object) -> None:
    jobs = written_sweep(path, [[f"seed={seed}"] for seed in range(3, 3 + len(accuracies))])
    write_record(path, replaced(path, {**AUTO, **keys}))
    for job, accuracy in zip(jobs, accuracies, strict=True):
        ended(path, job, accuracy)


def replaced(path: Path, repeats):
    from dataclasses import replace

    return replace(read_record(path), repeats=repeats)


def test_the_next_seeds_become_jobs_until_there_are_the_most(tmp_path):
    auto_sweep(tmp_path, [0.1, 0.5, 0.3, 0.7, 0.9])
    said: list[str] = []

    grew = grow(tmp_path, said.append)
    grew_before_they_ran = grow(tmp_path, said.append)

    jobs = read_manifest(tmp_path)
    assert (grew, grew_before_they_ran) == (True, False)
    assert [job.values["seed"] for job in jobs] == [str(seed) for seed in range(3, 11)]
    assert [job.config["root"]["seed"] for job in jobs] == list(range(3, 11))
    assert jobs[-1].overrides == (*SHORT, "seed=10")
    assert len({job.hash for job in jobs}) == 8
    assert said == [
        "seeds=auto: accuracy 0.5000, 95 % interval 0.1074 to 0.8926 (0.7853 wide) with 5 seeds; "
        "3 more, for seeds_width=0.1."
    ]
    for job in jobs[5:]:
        ended(tmp_path, job, 0.5)
    assert not grow(tmp_path, said.append)
    assert said[-1].endswith("with 8 seeds; no more than seeds_max=8.")


@pytest.mark.parametrize(
    ("accuracies", "line"),
    [
        ([0.5, 0.51, 0.5], "(0.0287 wide) with 3 seeds; narrower than seeds_width=0.1."),
        ([0.5, None, 0.9], "seeds=auto: 1 run failed, so that no seeds are added."),
    ],
    ids=["narrow", "failed"],
)
def test_no_seeds_are_added_and_it_is_said_why(accuracies, line, tmp_path):
    auto_sweep(tmp_path, accuracies)
    said: list[str] = []

    assert not grow(tmp_path, said.append)
    assert said[0].endswith(line)
    assert len(read_manifest(tmp_path)) == 3


def test_a_sweep_that_was_not_asked_to_grow_does_not(tmp_path):
    auto_sweep(tmp_path, [0.1, 0.9], seeds=2)

    assert not grow(tmp_path, lambda line: None)
