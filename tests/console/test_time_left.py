from __future__ import annotations

import pytest

from clrun.console.time_left import Going, TimeLeft


def test_nothing_is_said_before_something_was_measured() -> None:
    assert TimeLeft(["naive", "naive"]).now() is None


def test_jobs_take_as_long_as_others_of_their_kind() -> None:
    time_left = TimeLeft(["naive", "naive", "joint", "joint"])

    time_left.ended("naive", 1.0)
    time_left.ended("joint", 10.0)

    assert time_left.now() == 11.0


def test_a_kind_that_was_not_met_takes_as_long_as_all_on_average() -> None:
    time_left = TimeLeft(["a", "b", "c"])

    time_left.ended("a", 2.0)
    time_left.ended("b", 4.0)

    assert time_left.now() == 3.0


def test_the_job_that_runs_counts_by_what_is_done_of_it() -> None:
    time_left = TimeLeft(["a", "a"])

    assert time_left.now([Going("a", seconds=3.0, done=0.25)]) == 9.0 + 12.0


def test_a_job_that_runs_takes_as_long_as_others_of_its_kind() -> None:
    time_left = TimeLeft(["a", "a"])

    time_left.ended("a", 10.0)

    assert time_left.left(Going("a", seconds=3.0, done=0.9)) == 7.0
    assert time_left.left(Going("a", seconds=20.0, done=0.8)) == pytest.approx(5.0)
    assert time_left.left(Going("a", seconds=20.0, done=0.0)) is None


def test_of_a_job_that_was_interrupted_less_is_left_than_others_took() -> None:
    time_left = TimeLeft(["a", "a"])
    time_left.ended("a", 10.0)

    job = Going("a", seconds=1.0, done=0.75, before=0.5, is_resumed=True)

    assert time_left.left(job) == 1.0


def test_what_was_done_before_says_nothing_of_the_pace() -> None:
    job = Going("a", seconds=6.0, done=0.75, before=0.5)

    assert TimeLeft(["a"]).left(job) == 6.0
    assert TimeLeft(["a"]).left(Going("a", seconds=6.0, done=0.5, before=0.5)) is None


def test_jobs_that_run_side_by_side_share_the_work() -> None:
    time_left = TimeLeft(["a"] * 7)
    time_left.ended("a", 10.0)

    running = [Going("a", seconds=5.0, done=0.5), Going("a", seconds=5.0, done=0.5)]

    assert time_left.now(running, slots=2) == (5.0 + 5.0 + 4 * 10.0) / 2


def test_the_last_job_is_not_done_sooner_by_idle_workers() -> None:
    time_left = TimeLeft(["a", "a"])
    time_left.ended("a", 10.0)

    assert time_left.now([Going("a", seconds=4.0, done=0.1)], slots=8) == 6.0


def test_a_job_of_which_nothing_is_known_takes_as_long_as_the_others() -> None:
    time_left = TimeLeft(["a", "b"])
    unknown = Going("b", seconds=1.0, done=0.0)

    assert time_left.now([Going("a", seconds=4.0, done=0.5), unknown], slots=2) == 7.0
    assert time_left.now([unknown]) is None
