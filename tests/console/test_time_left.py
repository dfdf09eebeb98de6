from __future__ import annotations

from clrun.console.time_left import TimeLeft


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

    assert time_left.now("a", seconds=3.0, done=0.25) == 9.0 + 12.0


def test_a_job_that_failed_is_no_measure() -> None:
    time_left = TimeLeft(["a", "a", "a"])

    time_left.ended("a", None)
    time_left.ended("a", 5.0)

    assert time_left.now() == 5.0
