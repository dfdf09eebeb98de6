"""Streams with other labels than the numbers of classes (`benchmark.labels`)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import clrun
from clrun.errors import ConfigError
from clrun.runner.prepare import build
from clrun.streams.experience import Benchmark
from clrun.streams.fingerprint import fingerprint
from clrun.streams.labels import labelled

WITHIN, PER = "within_experience", "per_experience"
SHUFFLED = "benchmark.class_order=shuffled"
CUT = "benchmark.limit_per_class=12"


def made(*words: str):
    """The benchmark component that these words choose."""
    return build(clrun.compose(["strategy=naive", *words]).nodes["benchmark"])


def digits(labels: str, *words: str) -> Benchmark:
    return made(f"benchmark.labels={labels}", CUT, *words).load(seed=3)


def refusal(*words: str) -> str:
    with pytest.raises(ConfigError) as refused:
        made(*words).load(seed=0)
    [line] = refused.value.problems
    return line


@pytest.mark.parametrize(
    "words",
    [
        (SHUFFLED, "benchmark.validation_fraction=0.25"),
        (SHUFFLED, "benchmark.first_experience_classes=4", "benchmark.n_experiences=4"),
        ("benchmark.scenario=long_tailed", "benchmark.imbalance=4", SHUFFLED),
    ],
)
@pytest.mark.parametrize("labels", [WITHIN, PER])
def test_labels_are_places_among_the_classes_of_an_experience(labels, words):
    plain, other = digits("global", *words), digits(labels, *words)

    start = 0
    for before, after in zip(plain, other, strict=True):
        table = torch.full((10,), -1)
        table[list(before.classes)] = torch.arange(len(before.classes)) + start
        assert after.classes == tuple(range(start, start + len(before.classes)))
        for part in ("train", "test", "validation"):
            ours, theirs = getattr(before, part), getattr(after, part)
            if ours is not None:
                assert torch.equal(ours.x, theirs.x)
                assert torch.equal(table[ours.y], theirs.y)
        start += len(before.classes) if labels == PER else 0
    sizes = [len(e.classes) for e in plain]
    assert other.shape.num_classes == (max(sizes) if labels == WITHIN else sum(sizes))


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (("benchmark.scenario=permuted", "benchmark.n_experiences=3"), (10, 30)),
        (("benchmark.scenario=rotated", "benchmark.n_experiences=2"), (10, 20)),
        (("benchmark.scenario=ni", "benchmark.n_experiences=2"), (10, 20)),
    ],
)
def test_where_every_experience_has_all_classes_they_keep_their_labels_within(words, classes):
    plain, within, per = (digits(labels, *words) for labels in ("global", WITHIN, PER))

    assert (within.shape.num_classes, per.shape.num_classes) == classes
    assert within.class_names == plain.class_names
    for k, (one, two, three) in enumerate(zip(plain, within, per, strict=True)):
        assert torch.equal(one.train.y, two.train.y)
        assert torch.equal(one.test.y + 10 * k, three.test.y)
    assert per.class_names[13] == "3 (experience 2)"


def test_sessions_of_a_class_have_outputs_of_their_own():
    words = ("benchmark.n_experiences=19", "benchmark.first_experience_classes=2")

    stream = digits(PER, "benchmark.scenario=nic", *words)

    assert stream.shape.num_classes == 20
    assert [e.classes for e in stream][:3] == [(0, 1), (2,), (3,)]


@pytest.mark.parametrize("labels", ["global", WITHIN, PER])
@pytest.mark.parametrize("scenario", ["nc", "permuted"])
def test_the_shape_is_known_before_the_data_are_read(labels, scenario):
    source = made(f"benchmark.labels={labels}", f"benchmark.scenario={scenario}")

    assert source.shape() == source.load(seed=0).shape


def test_classes_that_share_a_label_are_named_together_and_many_are_cut():
    two = digits(WITHIN, "benchmark.n_experiences=2")
    six = digits(
        WITHIN, "benchmark.n_experiences=6", "benchmark.classes_per_experience=[2,2,2,2,1,1]"
    )

    assert two.class_names == ("0 | 5", "1 | 6", "2 | 7", "3 | 8", "4 | 9")
    assert six.class_names == ("0 | 2 | 4 | 6 | 8 | ...", "1 | 3 | 5 | 7")


def test_where_classes_come_once_and_in_order_per_experience_is_global():
    plain, per = digits("global"), digits(PER)

    assert plain.class_names == per.class_names
    assert fingerprint(plain) == fingerprint(per)


def test_other_labels_are_other_data():
    assert fingerprint(digits("global")) != fingerprint(digits(WITHIN))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_no_two_classes_of_an_experience_share_a_label_and_all_labels_are_used(sizes, random):
    order = list(range(sum(sizes)))
    random.shuffle(order)
    left = iter(order)
    groups = [sorted(next(left) for _ in range(size)) for size in sizes]
    rows = [(np.zeros((len(g), 2, 2), np.uint8), np.array(g)) for g in groups]
    stream = Benchmark.of_arrays(rows, rows, class_names=[str(k) for k in range(len(order))])

    per = labelled(stream, PER, lambda: sizes)

    assert [c for e in per for c in e.classes] == list(range(sum(sizes)))
    assert [per.class_names[c] for e in per for c in e.train.y.tolist()] == [
        str(c) for group in groups for c in group
    ]
    if max(sizes) > 1:
        within = labelled(stream, WITHIN, lambda: sizes)
        assert {c for e in within for c in e.classes} == set(range(max(sizes)))
        assert all(e.classes == tuple(range(len(e.classes))) for e in within)


def table(folder: Path, test: dict[int, str], train: tuple[str, ...] = ("ab", "cd")) -> str:
    """A file of arrays whose rows name their experience: these classes of training and test."""
    entries = [(c, k, False) for k, names in enumerate(train) for c in names for _ in range(2)]
    entries += [(c, k, True) for k, names in test.items() for c in names]
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "experience", "split"))
        for number, (c, k, is_test) in enumerate(entries):
            Image.new("L", (2, 2), number).save(folder / f"{number}.png")
            writer.writerow((f"{number}.png", c, k, "test" if is_test else "train"))
    return f"benchmark.data_root={path}"


def test_data_that_say_the_experiences_have_labels_of_those(tmp_path):
    root = table(tmp_path, {0: "ab", 1: "cd"})

    stream = made("benchmark=csv", root, f"benchmark.labels={WITHIN}")

    assert stream.shape().num_classes == 2
    assert stream.load(seed=0).class_names == ("a | c", "b | d")


@pytest.mark.parametrize("labels", [WITHIN, PER])
def test_a_test_row_of_a_class_that_its_experience_does_not_learn_is_refused(labels, tmp_path):
    root = table(tmp_path, {0: "abc", 1: "cd"})

    assert refusal("benchmark=csv", root, f"benchmark.labels={labels}") == (
        f"benchmark.labels={labels}: experience 0 has test rows of class c, which it does not "
        "learn. Use other test rows, or benchmark.labels=global."
    )


def test_a_class_that_would_have_two_labels_is_refused(tmp_path):
    root = table(tmp_path, {0: "ab", 1: "bc"}, train=("ab", "bc"))

    assert refusal("benchmark=csv", root, f"benchmark.labels={WITHIN}") == (
        "benchmark.labels=within_experience: class b would be label 1 in experience 0 and 0 in "
        "experience 1. Use benchmark.labels=global or per_experience."
    )


def test_an_experience_that_lacks_a_class_of_its_scenario_is_refused():
    words = ("benchmark.scenario=ni", "benchmark.n_experiences=15", CUT)

    assert refusal(*words, f"benchmark.labels={PER}").startswith(
        "benchmark.labels=per_experience: experience 0 has training rows of 8 of its 10 classes."
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("benchmark.scenario=online", "benchmark.rows_per_experience=10"),
            "benchmark.labels=within_experience: with scenario=online experiences are minibatches, "
            "which have no classes of their own. Use labels=global, or scenario=nc.",
        ),
        (
            ("benchmark.scenario=blurry", "benchmark.blur=0.1"),
            "benchmark.labels=within_experience: with scenario=blurry classes leak into "
            "experiences that are not tested on them. Use labels=global, or scenario=nc.",
        ),
        (
            ("benchmark.scenario=repetition", "benchmark.repetition_p=0.5"),
            "benchmark.labels=within_experience: with scenario=repetition the seed decides which "
            "classes an experience has. Use labels=global, or scenario=nc.",
        ),
        (
            ("benchmark.scenario=nic", "benchmark.n_experiences=20"),
            "benchmark.labels=within_experience: with scenario=nic a class comes back alone, where "
            "its place among the classes is another. Use labels=per_experience, or scenario=nc.",
        ),
        (
            ("benchmark.n_experiences=10",),
            "benchmark.labels=within_experience: every experience has one class, so that all "
            "labels would be the same. Use fewer experiences, or labels=global.",
        ),
        (
            ("benchmark=core50_nicv2_79",),
            "benchmark.labels=within_experience: with scenario=nicv2_79 and level=object classes "
            "come back, and are tested in the first experience that has them alone. "
            "Use labels=global, or scenario=nc and level=object.",
        ),
    ],
)
def test_what_has_no_such_labels_is_refused_in_one_line(words, line):
    assert refusal(*words, f"benchmark.labels={WITHIN}") == line
