import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrun.errors import ConfigError
from clrun.memory.quotas import check_total, fixed_shares, shares

AMPLE = 10_000


@pytest.mark.parametrize(
    ("mem_size", "num_groups", "expected"),
    [
        (100, 1, [100]),
        (100, 2, [50, 50]),
        (100, 3, [33, 33, 34]),
        (100, 4, [25] * 4),
        (100, 5, [20] * 5),
        (100, 6, [16, 16, 17, 17, 17, 17]),
        (25, 2, [12, 13]),
        (25, 3, [8, 8, 9]),
        (25, 4, [6, 6, 6, 7]),
        (25, 6, [4, 4, 4, 4, 4, 5]),
        (10, 3, [3, 3, 4]),
        (10, 4, [2, 2, 3, 3]),
        (10, 6, [1, 1, 2, 2, 2, 2]),
        (5, 4, [1, 1, 1, 2]),
        (5, 6, [0, 1, 1, 1, 1, 1]),
        (3, 5, [0, 0, 1, 1, 1]),
        (3, 6, [0, 0, 0, 1, 1, 1]),
        (0, 2, [0, 0]),
        (7, 0, []),
    ],
)
def test_shares_are_equal_and_what_is_left_over_goes_to_the_newest(mem_size, num_groups, expected):
    assert shares([AMPLE] * num_groups, mem_size) == expected


@pytest.mark.parametrize(
    ("available", "mem_size", "expected"),
    [
        ([5, 200], 100, [5, 95]),
        ([5, 95, 10, 200], 100, [5, 42, 10, 43]),
        ([3, 3], 20, [3, 3]),
        ([3, 3, 50], 20, [3, 3, 14]),
        ([60], 100, [60]),
        ([60, 120], 100, [50, 50]),
        ([0, 4], 3, [0, 3]),
        ([9, 9, 1, 9], 7, [2, 2, 1, 2]),
        ([9, 9, 9, 0], 2, [0, 1, 1, 0]),
    ],
)
def test_a_group_with_too_few_exemplars_gives_its_slots_back(available, mem_size, expected):
    assert shares(available, mem_size) == expected


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(0, 200))
def test_the_memory_is_full_or_holds_everything(available, mem_size):
    given_out = shares(available, mem_size)

    assert sum(given_out) == min(mem_size, sum(available))
    assert all(0 <= share <= rows for share, rows in zip(given_out, available, strict=True))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(0, 200))
def test_no_group_could_get_a_more_equal_share(available, mem_size):
    given_out = shares(available, mem_size)

    largest = max(given_out)
    assert all(
        share >= largest - 1
        for share, rows in zip(given_out, available, strict=True)
        if share < rows
    )


@given(st.lists(st.integers(0, 40), min_size=2, max_size=12), st.integers(0, 200))
def test_among_groups_with_rows_to_spare_a_newer_one_never_gets_less(available, mem_size):
    given_out = shares(available, mem_size)

    spare = [s for s, rows in zip(given_out, available, strict=True) if s < rows]
    assert spare == sorted(spare)


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        ([100, 100], [10, 10]),
        ([100, 100, 100], [10, 10, 10]),
        ([100, 100, 100, 4], [10, 10, 10, 4]),
    ],
)
def test_fixed_shares_do_not_depend_on_the_groups_seen(available, expected):
    assert fixed_shares(available, 103, 10) == expected


def test_more_groups_than_the_fixed_total_are_refused():
    with pytest.raises(ConfigError, match=r"^storage_policy\.num_experiences=5: .* at least 6"):
        fixed_shares([20] * 6, 103, 5, key="storage_policy.num_experiences")


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(0, 200), st.integers(8, 20))
def test_fixed_shares_never_exceed_the_memory(available, mem_size, total):
    assert sum(fixed_shares(available, mem_size, total)) <= mem_size


def test_fixed_quotas_need_the_total():
    with pytest.raises(ValueError, match=r"^num_experiences=null: adaptive_size=false"):
        check_total("num_experiences", None, adaptive_size=False)


def test_a_total_that_would_be_ignored_is_refused():
    with pytest.raises(ValueError, match=r"^num_experiences=5: adaptive_size=true .* ignore it"):
        check_total("num_experiences", 5, adaptive_size=True)


def test_a_total_belongs_to_fixed_quotas():
    check_total("num_experiences", 5, adaptive_size=False)
    check_total("num_experiences", None, adaptive_size=True)
