from __future__ import annotations

import random
import statistics

import pytest
from scipy import stats

from clrun.records.spread import difference, may_be_best, spread, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 20, 21, 30, 101])
@pytest.mark.parametrize("probability", [0.9, 0.975, 1 - 0.025 / 11, 1 - 0.025 / 1999])
def test_the_quantile_is_student_s(degrees: int, probability: float) -> None:
    expected = stats.t.ppf(probability, degrees)

    assert t_quantile(degrees, probability) == pytest.approx(expected, rel=1e-9)


def test_a_mean_has_a_standard_deviation_and_half_the_width_of_its_interval() -> None:
    values = [0.5, 0.6, 0.75]

    found = spread(values)

    interval = stats.t.interval(0.95, 2, statistics.fmean(values), stats.sem(values))
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.sd == pytest.approx(statistics.stdev(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(interval)
    assert found.n == 3


def test_one_value_has_neither() -> None:
    assert spread([0.5]) == (0.5, None, None, 1)


FIRST = {"0": 0.50, "1": 0.61, "2": 0.70, "3": 0.66}
SECOND = {"0": 0.45, "1": 0.60, "2": 0.69, "7": 0.20}


def test_shared_seeds_are_compared_in_pairs() -> None:
    found = difference(FIRST, SECOND)

    expected = stats.ttest_rel([0.50, 0.61, 0.70], [0.45, 0.60, 0.69]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.n, found.is_paired) == (3, True)


def test_without_shared_seeds_the_values_are_independent() -> None:
    other = {"8": 0.40, "9": 0.42, "10": 0.44, "11": 0.43, "12": 0.405}

    found = difference(FIRST, other)

    test = stats.ttest_ind(list(FIRST.values()), list(other.values()), equal_var=False)
    exact = test.confidence_interval(0.95)
    assert found.mean == pytest.approx((exact.low + exact.high) / 2)
    assert found.low <= exact.low  # degrees of freedom are rounded down
    scale = stats.t.ppf(0.975, int(test.df)) / stats.t.ppf(0.975, test.df)
    assert found.half_width == pytest.approx(scale * (exact.high - exact.low) / 2)
    assert (found.n, found.is_paired) == (4, False)


def test_many_comparisons_make_an_interval_wider() -> None:
    found = difference(FIRST, SECOND, comparisons=11)

    expected = stats.ttest_rel([0.50, 0.61, 0.70], [0.45, 0.60, 0.69]).confidence_interval(
        1 - 0.05 / 11
    )
    assert (found.low, found.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"0": 0.5}, {"0": 0.4}, id="one seed"),
        pytest.param({"0": 0.5, "1": 0.6}, {"7": 0.4}, id="one value on a side"),
        pytest.param({"0": 0.5, "1": 0.5}, {"0": 0.4, "1": 0.4}, id="seeds change nothing, paired"),
        pytest.param({"0": 0.5, "1": 0.5}, {"2": 0.4, "3": 0.4}, id="seeds change nothing"),
        pytest.param({"0": 0.5, "1": 0.6}, {"0": 0.4, "1": 0.5}, id="equal but for rounding"),
    ],
)
def test_nothing_is_claimed_where_nothing_can_be_told(
    first: dict[str, float], second: dict[str, float]
) -> None:
    assert difference(first, second) is None
    assert may_be_best([second, first]) == [1, 0]


def test_what_is_far_below_is_not_the_best() -> None:
    low = {"0": 0.10, "1": 0.12, "2": 0.11}
    high = {"0": 0.80, "1": 0.83, "2": 0.82}
    near = {"0": 0.81, "1": 0.80, "2": 0.81}

    assert may_be_best([low, near, high]) == [2, 1]
    assert may_be_best([high, low]) == [0]
    assert may_be_best([high]) == [0]


def test_the_truly_best_of_equal_points_is_left_out_in_one_table_of_twenty_at_most() -> None:
    rng = random.Random(0)
    tables = 600

    def table() -> list[dict[str, float]]:
        return [{str(seed): rng.gauss(0.5, 0.1) for seed in range(4)} for _ in range(6)]

    left_out = sum(0 not in may_be_best(table()) for _ in range(tables))

    assert left_out <= 0.05 * tables


def test_a_clear_best_is_found_alone() -> None:
    rng = random.Random(0)
    points = [{str(seed): rng.gauss(mean, 0.01) for seed in range(5)} for mean in (0.3, 0.9, 0.4)]

    assert may_be_best(points) == [1]
