"""What torch says of the jobs of a sweep, for all of them in one look."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clrun.config.compose import compose
from clrun.images.download import DownloadError
from clrun.runner.prepare import ready
from clrun.sources.digits import Digits
from clrun.sweep.examine import Question, examined

WORDS = ("strategy=naive", "device=cpu")


def question(
    *jobs: tuple[int, int], more: Sequence[Sequence[str]] = ((),), is_here: bool = True
) -> Question:
    configs = [compose([*WORDS, *words]).plain() for words in more]
    return Question(configs=configs, jobs=jobs, threads=3, is_here=is_here)


def test_facts_are_those_of_each_run_prepared_alone() -> None:
    shuffled = "benchmark.class_order=shuffled"
    more = ((shuffled,), (shuffled, "model.hidden=[7]"), (shuffled, "first_experiences=2"), ())
    jobs = [(place, seed) for place in range(4) for seed in (0, 1)]

    answer = examined(question(*jobs, more=more))

    alone = [ready(compose([*WORDS, *more[place], f"seed={seed}"])) for place, seed in jobs]
    assert answer.problems == []
    assert [facts["data"] for facts in answer.facts] == [
        {"fingerprint": prepared.fingerprint} for prepared in alone
    ]
    assert len({facts["data"]["fingerprint"] for facts in answer.facts}) == 5
    assert [{**facts, "threads": 0, "data": 0} for facts in answer.facts] == [
        {**prepared.machine, "threads": 0, "data": 0} for prepared in alone
    ]


def test_files_are_not_read_anew_for_each_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    read = Digits.load
    monkeypatch.setattr(
        Digits, "load", lambda self, *a, **named: reads.append(self) or read(self, *a, **named)
    )

    answer = examined(question(*((0, seed) for seed in range(10))))

    assert len(answer.facts) == 10
    assert len(reads) == 2  # of the run that was tried whole, and of all other streams


def test_threads_are_the_devices_own_or_else_the_launchers() -> None:
    answer = examined(question((0, 0), (1, 0), more=((), ("device.threads=2",))))

    assert [facts["threads"] for facts in answer.facts] == [3, 2]


def test_the_first_job_that_is_wrong_is_the_one_after_the_facts() -> None:
    nowhere = ("benchmark=npz", "benchmark.data_root=nowhere.npz")

    answer = examined(question((0, 0), (1, 0), (0, 1), more=((), nowhere)))

    assert len(answer.facts) == 1
    assert "nowhere.npz" in answer.problems[0]


def test_elsewhere_a_device_may_be_that_is_not_here() -> None:
    answer = examined(
        question((0, 0), more=(("device=cuda", "device.precision=bf16"),), is_here=False)
    )

    [facts] = answer.facts
    assert not {"device", "processor", "channels_last"} & facts.keys()
    assert facts["threads"] == 3


def test_what_is_worth_a_line_is_said_once() -> None:
    answer = examined(question((0, 0), (0, 1), more=(("selection=herding",),)))

    assert answer.notes == ["strategy=naive keeps no memory: selection has no effect."]


def test_data_that_cannot_be_fetched_are_a_problem_of_their_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise DownloadError("benchmark.data_root=DIR: a file is not there.")

    monkeypatch.setattr(Digits, "load", unreachable)

    answer = examined(question((0, 0)))

    assert answer.facts == []
    assert answer.problems == ["benchmark.data_root=DIR: a file is not there."]
