"""What is sealed cannot be opened, whoever asks: later experiences, the test stream, the files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

import clrun
from clrun.config.compose import compose
from clrun.errors import ConfigError, LeakError
from clrun.records.run_folder import read_record
from clrun.runner.building import build
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.streams.experience import Benchmark, merged
from clrun.streams.fingerprint import fingerprint
from clrun.streams.guard import nothing_else_opened, sealed

WORDS = ("strategy=naive", "strategy.train_epochs=1", "benchmark.limit_per_class=20")
SCRIPTS = Path(__file__).parents[2] / "scripts"
"""where peeking.py is"""
SEALED = ("first_experiences=3", "eval.stream=validation", "benchmark.validation_fraction=0.1")


@cache
def digits() -> Benchmark:
    return opened()


def opened() -> Benchmark:
    return build(compose(["benchmark.validation_fraction=0.1"]).nodes["benchmark"]).load(0)


def pixels_reached(x: torch.Tensor) -> int:
    """Pixels of all that whoever has `x` can get at."""
    return x.untyped_storage().nbytes()


def test_a_later_experience_is_counted_nowhere_and_cannot_be_opened():
    stream = sealed(digits(), 3, test=False)

    assert len(stream) == len(list(stream)) == stream.shape.num_experiences == 3
    assert [e.index for e in stream.experiences[:]] == [0, 1, 2]
    for place in (3, 4):
        with pytest.raises(LeakError, match=rf"experiences\[{place}\].* first 3 of 5"):
            stream.experiences[place]
    with pytest.raises(IndexError):
        stream.experiences[5]


@pytest.mark.parametrize(("first", "test"), [(1, True), (3, False), (5, True)])
def test_the_first_experiences_are_what_they_were(first, test):
    whole = digits()

    for ours, theirs in zip(sealed(whole, first, test=test), whole, strict=False):
        assert (ours.index, ours.classes) == (theirs.index, theirs.classes)
        for part in ("train", "validation"):
            x, y = getattr(ours, part)
            assert torch.equal(x, getattr(theirs, part).x)
            assert torch.equal(y, getattr(theirs, part).y)


def test_rows_of_later_experiences_are_not_behind_those_of_the_first():
    whole = digits()
    assert pixels_reached(whole.experiences[0].train.x) > whole.experiences[0].train.x.nbytes

    for experience in sealed(whole, 3, test=True):
        for x in (experience.train.x, experience.validation.x):
            assert pixels_reached(x) == x.nbytes


@pytest.mark.parametrize("first", [None, 2, 5])
def test_no_test_row_can_be_opened(first):
    stream = sealed(digits(), first, test=True)

    for experience in (*stream, merged(stream)):
        with pytest.raises(LeakError, match=rf"experiences\[{experience.index}\].test: "):
            _ = experience.test
        with pytest.raises(LeakError):
            replace(experience, index=0)
        assert "test" not in vars(experience)
        assert f"index={experience.index}" in repr(experience)


def test_what_joint_training_learns_of_a_sealed_stream():
    whole = merged(sealed(digits(), 3, test=True))

    assert whole.classes == (0, 1, 2, 3, 4, 5)
    assert len(whole.train.y) == sum(len(e.train.y) for e in list(digits())[:3])


def test_more_experiences_than_there_are():
    with pytest.raises(ConfigError, match=r"first_experiences=6: the stream has 5\. Use at most 5"):
        sealed(digits(), 6, test=False)


def test_all_experiences_are_the_stream_itself():
    stream = digits()

    assert sealed(stream, 5, test=False) is sealed(stream, None, test=False) is stream


def test_images_are_normalised_by_what_is_left_alone():
    words = ["first_experiences=2", "benchmark.normalize=data", *WORDS]
    stream = prepare(compose(words)).data
    transform = stream.transform

    x = torch.cat([experience.train.x for experience in stream]).double() / 255

    assert transform.mean == pytest.approx((x.mean().item(),))
    assert transform.std == pytest.approx((x.std(correction=0).item(),))
    assert transform.mean != prepare(compose(words[1:])).data.transform.mean
    assert any("of the first 2 experiences" in note for note in stream.notes)


def test_a_normalisation_that_is_not_of_the_data_stays():
    words = ["benchmark.normalize=false", *WORDS]

    transform = prepare(compose([*words, "first_experiences=2"])).data.transform

    assert transform == prepare(compose(words)).data.transform


def test_what_is_sealed_is_not_in_the_fingerprint():
    whole = digits()
    *others, last = whole
    other = [*others, replace(last, train=others[0].train)]
    changed = replace(whole, experiences=other)

    assert fingerprint(whole) != fingerprint(changed)
    assert fingerprint(sealed(whole, 3, test=True)) == fingerprint(sealed(changed, 3, test=True))
    assert fingerprint(sealed(whole, 3, test=True)) != fingerprint(sealed(whole, 3, test=False))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AtTheTestStream", r"experiences\[0\].test"),
        ("AtTheNextExperience", r"experiences\[3\]"),
        ("AtTheSource", "digits: is opened anew"),
    ],
)
def test_a_strategy_that_peeks_fails(name, said, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    config = compose([*WORDS, *SEALED, f"strategy.target=peeking:{name}"], trust=True)

    with pytest.raises(LeakError, match=said):
        run(prepare(config), tmp_path / "run")

    record = read_record(tmp_path / "run")
    assert record["status"] == "failed"
    assert record["error"].startswith("LeakError: ")


def test_one_that_does_not_peek_is_as_good_as_ever(tmp_path):
    """The three experiences of a longer stream are learnt alike, up to the normalisation."""
    words = [*WORDS, "benchmark.normalize=false", "benchmark.validation_fraction=0.1"]

    few = clrun.run(compose([*words, *SEALED[:2]]), tmp_path / "few")
    many = clrun.run(compose([*words, "eval.stream=validation"]), tmp_path / "many")

    assert few.accuracy_matrix == [row[:3] for row in many.accuracy_matrix[:3]]


def test_benchmarks_open_their_data_again_when_the_run_is_over():
    with nothing_else_opened(sealed=True), pytest.raises(LeakError):
        opened()
    with nothing_else_opened(sealed=False):
        opened()
    opened()


def test_a_run_within_a_sealed_one_opens_no_more_than_that():
    with nothing_else_opened(sealed=True):
        with nothing_else_opened(sealed=False), pytest.raises(LeakError):
            opened()
        with pytest.raises(LeakError):
            opened()


def test_the_name_of_a_run_of_the_whole_stream_has_not_changed():
    plain = compose(WORDS).hash()

    assert compose([*WORDS, "first_experiences=null"]).hash() == plain
    assert compose([*WORDS, "first_experiences=3"]).hash() != plain
