import re
import subprocess
import sys

import pytest

from clrun.streams.class_counts import (
    check_class_order,
    check_every_class_everywhere,
    class_counts,
)


@pytest.mark.parametrize(
    ("classes", "n", "first", "listed", "expected"),
    [
        pytest.param(10, 5, None, None, (2, 2, 2, 2, 2), id="equal"),
        pytest.param(10, 1, None, None, (10,), id="one experience"),
        pytest.param(10, 10, None, None, (1,) * 10, id="one class each"),
        pytest.param(10, 5, 2, None, (2, 2, 2, 2, 2), id="first, which makes no difference"),
        pytest.param(10, 5, 6, None, (6, 1, 1, 1, 1), id="first is larger"),
        pytest.param(10, 4, 1, None, (1, 3, 3, 3), id="first is smaller"),
        pytest.param(100, 11, 50, None, (50, *[5] * 10), id="half, then tenths"),
        pytest.param(10, 1, 10, None, (10,), id="first is all"),
        pytest.param(10, 3, None, [5, 1, 4], (5, 1, 4), id="listed"),
    ],
)
def test_the_counts_follow_the_keys(classes, n, first, listed, expected):
    assert class_counts(classes, n, first, listed) == expected


@pytest.mark.parametrize(
    ("n", "first", "listed", "message"),
    [
        (3, None, None, r"n_experiences=3: does not divide 10 .* 1, 2, 5, 10,"),
        (11, None, None, r"n_experiences=11: more than the 10 classes"),
        (5, 3, None, r"first_experience_classes=3: .* Use one of 2, 6, or"),
        (1, 9, None, r"first_experience_classes=9: .* Use one of 10,"),
        (2, 10, None, r"first_experience_classes=10: "),
        (5, 14, None, r"first_experience_classes=14: "),
        (2, 5, [5, 5], r"classes_per_experience=\[5,5\]: first_experience_classes=5 is given too"),
        (3, None, [5, 5], r"classes_per_experience=\[5,5\]: has 2 entries for n_experiences=3"),
        (2, None, [5, 4], r"classes_per_experience=\[5,4\]: sums to 9, and must to the 10"),
    ],
)
def test_counts_that_are_no_partition_are_refused_by_key_and_value(n, first, listed, message):
    with pytest.raises(ValueError, match=message):
        class_counts(10, n, first, listed)


@pytest.mark.parametrize("order", ["fixed", "shuffled", [2, 0, 1]])
def test_an_order_of_all_classes_is_accepted(order):
    check_class_order(order, None, 3)


@pytest.mark.parametrize("order", [[], [0, 1], [0, 1, 1], [1, 2, 3], [0, 1, 2, 3], [-1, 0, 1]])
def test_an_order_that_is_no_permutation_is_refused(order):
    with pytest.raises(ValueError, match=re.escape("class_order=[") + r".* from 0 to 2 exactly"):
        check_class_order(order, None, 3)


@pytest.mark.parametrize("order", ["fixed", [2, 0, 1]])
def test_a_seed_that_the_order_ignores_is_refused(order):
    with pytest.raises(ValueError, match="class_order_seed=7: only class_order=shuffled reads it"):
        check_class_order(order, 7, 3)


@pytest.mark.parametrize(
    ("order", "first", "listed", "message"),
    [
        ("shuffled", None, None, "class_order=shuffled: with scenario=ni"),
        ([1, 0], None, None, r"class_order=\[1,0\]: with scenario=ni"),
        ("fixed", 2, None, "first_experience_classes=2: with scenario=ni"),
        ("fixed", None, [1, 1], r"classes_per_experience=\[1,1\]: with scenario=ni"),
    ],
)
def test_keys_about_classes_are_refused_where_every_experience_has_all(
    order, first, listed, message
):
    with pytest.raises(ValueError, match=message):
        check_every_class_everywhere(order, first, listed)


def test_reading_the_counts_and_the_source_names_imports_no_torch():
    code = (
        "import sys, clrun.streams.class_counts, clrun.streams.sources; "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
