from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.errors import ConfigError
from clrun.images.files import DamagedFile
from clrun.sources.class_names import BadRows
from clrun.sources.labelled_rows import (
    LabelledRows,
    numbered_classes,
    numbered_experiences,
    one_line_errors,
    with_test_rows,
    with_validation_groups,
)

AS_EVER = [1, 3, 11, 17, 20, 25]
"""The test rows of three classes of ten, whose runs are on record."""


def rows(y, is_test=None, experience=None) -> LabelledRows:
    y = torch.as_tensor(y)
    names = tuple(str(k) for k in range(int(y.max()) + 1))
    is_test = torch.zeros(len(y), dtype=torch.bool) if is_test is None else torch.tensor(is_test)
    return LabelledRows(names, y, is_test, experience)


def test_gaps_between_labels_leave_no_unused_class():
    names, y = numbered_classes(["7", "30", "7", "100"])

    assert names == ("7", "30", "100")
    assert y.tolist() == [0, 1, 0, 2]


def test_classes_are_numbered_by_value_and_their_names_composed():
    names, y = numbered_classes(["10.0", "2.0", "1.0", "2.0"])
    assert (names, y.tolist()) == (("1.0", "2.0", "10.0"), [2, 1, 0, 1])

    assert numbered_classes(["cafe\u0301", "a"])[0] == ("a", "caf\u00e9")


@pytest.mark.parametrize("label", ["-1", "-1.0"])
def test_a_negative_label_is_refused(label):
    with pytest.raises(BadRows, match=f"row 2 has label {label}. Number classes from 0 on"):
        numbered_classes(["1", label])


def test_two_labels_of_one_class_are_refused_with_their_first_rows():
    with pytest.raises(BadRows, match="row 2 has class 'cat' and row 3 'Cat'"):
        numbered_classes(["dog", "cat", "Cat", "cat"])


def test_a_test_set_of_whole_groups_has_some_of_each_class_and_splits_none():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        group = torch.randint(0, 12, (100,), generator=generator)
        y = torch.randint(0, 3, (100,), generator=generator)

        split = with_test_rows(replace(rows(y), group=group), 0.25)

        assert not set(group[split.is_test].tolist()) & set(group[~split.is_test].tolist())
        assert split.check().is_test.sum() in range(15, 36)


def test_validation_groups_are_none_of_those_for_testing():
    table = replace(rows(torch.arange(3).repeat(40)), group=torch.arange(120) // 6)

    split = with_validation_groups(with_test_rows(table, 0.25), 0.2).check()

    of_side = [set(split.group[split.side == side].tolist()) for side in range(3)]
    assert split.has_validation
    assert sum(len(groups) for groups in of_side) == len(set.union(*of_side)) == 20


def test_rows_without_groups_are_set_aside_as_before_there_were_groups():
    table = rows(torch.arange(3).repeat_interleave(10))

    assert with_test_rows(table, None).is_test.nonzero().flatten().tolist() == AS_EVER


def test_some_of_the_rows_keep_all_that_is_known_of_them():
    table = rows([0, 1, 0, 1], [False, False, True, True], torch.tensor([0, 1, 0, 1]))

    some = table.at(torch.tensor([0, 3]))

    assert (some.y.tolist(), some.side.tolist(), some.experience.tolist()) == (
        [0, 1],
        [0, 1],
        [0, 1],
    )


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0.01, 0.99))
def test_every_class_of_two_rows_or_more_is_trained_on_and_tested(labels, fraction):
    split = with_test_rows(rows(labels), fraction)

    counts = torch.bincount(split.y)
    tested = torch.bincount(split.y[split.is_test], minlength=len(counts))
    wanted = (counts * fraction).floor()
    assert torch.equal(tested > 0, counts > 1)
    assert ((tested < counts) | (counts == 0)).all()
    assert ((tested - wanted).abs() <= 1).all()


def test_test_rows_are_taken_from_each_class_of_each_experience():
    y, experience = torch.tensor([0, 1]).repeat(20), torch.tensor([0, 1]).repeat_interleave(20)

    split = with_test_rows(rows(y, experience=experience), 0.2)

    unit = (split.y * 2 + experience)[split.is_test]
    assert torch.bincount(unit).tolist() == [2, 2, 2, 2]


def test_a_fifth_is_set_aside_the_same_rows_each_time():
    labels = torch.arange(3).repeat_interleave(50)

    one, two = with_test_rows(rows(labels), None), with_test_rows(rows(labels), None)

    assert int(one.is_test.sum()) == 30
    assert torch.equal(one.is_test, two.is_test)


def test_experiences_are_numbered_in_order_without_gaps():
    found = numbered_experiences(torch.tensor([10, 3, 10, 7]), rows([0, 0, 1, 1]))

    assert found.tolist() == [2, 0, 2, 1]


def test_a_test_row_without_experience_goes_where_its_class_is():
    table = rows([0, 1, 0, 1], is_test=[False, False, True, True])

    found = numbered_experiences(torch.tensor([4, 2, -1, -1]), table)

    assert found.tolist() == [1, 0, 1, 0]


def test_a_test_row_whose_class_is_in_two_experiences_must_say_which():
    table = rows([0, 0, 1, 0], is_test=[False, False, False, True])

    with pytest.raises(BadRows, match="class 0 is in several experiences"):
        numbered_experiences(torch.tensor([0, 1, 1, -1]), table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows([0, 0], [False, True]), "one class only"),
        (rows([0, 1], [False, True]), "class 1 has no training rows"),
        (rows([0, 1, 0], [False, False, True]), "class 1 has no test rows"),
        (
            rows([0, 1, 0, 1], [False, False, True, True], torch.tensor([0, 1, 0, 0])),
            "experience 1 has no test rows",
        ),
    ],
)
def test_rows_that_cannot_be_trained_on_and_tested_are_refused(table, message):
    with pytest.raises(BadRows, match=message):
        table.check()


@pytest.mark.parametrize(
    "error", [BadRows("x is bad. Mend it"), DamagedFile("x is bad"), PermissionError(13, "no", "x")]
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(tmp_path, error):
    with pytest.raises(ConfigError) as caught, one_line_errors(tmp_path):
        raise error

    assert str(caught.value).startswith(f"benchmark.data_root={tmp_path}: x ")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
