import re
import subprocess
import sys

import pytest

from clrun.streams.class_counts import (
    check_class_order,
    check_every_class_everywhere,
    class_counts,
    num_sessions,
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


@pytest.mark.parametrize(
    ("classes", "n", "first", "expected"),
    [
        pytest.param(10, 39, 2, 4, id="two classes first"),
        pytest.param(10, 10, None, 1, id="null is one class"),
        pytest.param(10, 20, 1, 2, id="one class first"),
        pytest.param(10, 1, 10, 1, id="all classes first, nothing later"),
        pytest.param(10, 11, 10, 2, id="all classes first"),
        pytest.param(50, 391, 10, 8, id="CORe50 NICv2-391"),
    ],
)
def test_the_number_of_sessions_follows_the_number_of_experiences(classes, n, first, expected):
    assert num_sessions(classes, n, first, None) == expected


@pytest.mark.parametrize(
    ("n", "first", "listed", "message"),
    [
        (38, 2, None, "n_experiences=38: .* Use 29 or 39, or first_experience_classes=3."),
        (40, 2, None, "n_experiences=40: .* Use 39 or 49, or first_experience_classes=1."),
        (5, None, None, "n_experiences=5: .* Use 10, or first_experience_classes=6."),
        (1, 2, None, "n_experiences=1: .* Use 9, or first_experience_classes=10."),
        (20, 11, None, "first_experience_classes=11: more than the 10 classes .* at most 10."),
        (2, None, [5, 5], r"classes_per_experience=\[5,5\]: with scenario=nic .*=null or "),
    ],
)
def test_counts_without_equally_many_sessions_are_refused(n, first, listed, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        num_sessions(10, n, first, listed)


@pytest.mark.parametrize(
    ("n", "first"),
    [(n, first) for n in range(1, 32) for first in (1, 2, 7, 10) if (n - 1 + first) % 10],
)
def test_the_numbers_that_a_refused_number_of_experiences_offers_are_the_nearest(n, first):
    accepted = [m for m in range(1, 60) if (m - 1 + first) % 10 == 0]
    near = [max((m for m in accepted if m < n), default=0), min(m for m in accepted if m > n)]

    with pytest.raises(ValueError, match=f"^n_experiences={n}: ") as refusal:
        num_sessions(10, n, first, None)

    offer = str(refusal.value).rstrip(".").partition("Use ")[2]
    counts, _, other = offer.partition(", or first_experience_classes=")
    assert counts == " or ".join(str(m) for m in near if m)
    assert num_sessions(10, n, int(other), None) >= 1


@pytest.mark.parametrize("order", ["fixed", "shuffled", [2, 0, 1]])
@pytest.mark.parametrize("scenario", ["nc", "nic"])
def test_an_order_of_all_classes_is_accepted(order, scenario):
    check_class_order(order, None, 3, scenario)


@pytest.mark.parametrize("order", ["fixed", "shuffled", [2, 0, 1]])
def test_a_seed_is_accepted_with_every_order_where_it_arranges_the_sessions(order):
    check_class_order(order, 7, 3, "nic")


@pytest.mark.parametrize("order", [[], [0, 1], [0, 1, 1], [1, 2, 3], [0, 1, 2, 3], [-1, 0, 1]])
def test_an_order_that_is_no_permutation_is_refused(order):
    with pytest.raises(ValueError, match=re.escape("class_order=[") + r".* from 0 to 2 exactly"):
        check_class_order(order, None, 3, "nc")


@pytest.mark.parametrize("order", ["fixed", [2, 0, 1]])
def test_a_seed_that_the_order_ignores_is_refused(order):
    with pytest.raises(ValueError, match="class_order_seed=7: class_order=shuffled reads it, and"):
        check_class_order(order, 7, 3, "nc")


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
        check_every_class_everywhere(order, first, listed, "ni")


def test_reading_the_counts_and_the_source_names_imports_no_torch():
    code = (
        "import sys, clrun.streams.class_counts, clrun.sources; "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
