from __future__ import annotations

import pytest
from scipy.stats import t

from clrun.metrics.spread import spread, t_quantile


@pytest.mark.parametrize("degrees", [1, 2, 4, 20, 21, 30, 100])
def test_the_quantile_is_student_s(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(t.ppf(0.975, degrees), rel=5e-5)


def test_a_mean_has_half_the_width_of_its_interval() -> None:
    mean, half_width = spread([0.5, 0.6, 0.7])

    assert mean == pytest.approx(0.6)
    assert half_width == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)


def test_one_value_has_no_interval() -> None:
    assert spread([0.5]) == (0.5, None)
