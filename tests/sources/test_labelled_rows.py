import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.errors import ConfigError
from clrun.images.files import DamagedFile
from clrun.sources.labelled_rows import (
    BadRows,
    LabelledRows,
    numbered_classes,
    numbered_experiences,
    one_line_errors,
    with_test_rows,
)


def rows(y, is_test=None, experience=None) -> LabelledRows:
    y = torch.as_tensor(y)
    names = tuple(str(k) for k in range(int(y.max()) + 1))
    is_test = torch.zeros(len(y), dtype=torch.bool) if is_test is None else torch.tensor(is_test)
    return LabelledRows(names, y, is_test, experience)


def test_gaps_between_labels_leave_no_unused_class():
    names, y = numbered_classes(["7", "30", "7", "100"])

    assert names == ("7", "30", "100")
    assert y.tolist() == [0, 1, 0, 2]


def test_names_are_ordered_as_text_unless_all_are_numbers():
    assert numbered_classes(["b", "10", "9"])[0] == ("10", "9", "b")
    assert numbered_classes(["10", "9"])[0] == ("9", "10")


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
