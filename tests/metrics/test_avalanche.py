"""The same numbers as Avalanche's own metrics, on 200 random streams."""

from __future__ import annotations

import numpy as np
import pytest

from clrun.metrics import acc_final, bwt, forgetting_first, forgetting_max, fwt, matrix_of_rows
from oracles.avalanche_metrics import Evaluator


@pytest.mark.parametrize("seed", range(4))
def test_the_metrics_of_a_random_stream_are_those_of_avalanche(seed):
    generator = np.random.default_rng(seed)
    for _ in range(50):
        count = int(generator.integers(2, 12))
        untrained, *rows = generator.integers(0, 101, (count + 1, count)) / 100
        evaluator = Evaluator()
        evaluator.evaluated(None, untrained.tolist())
        for index, row in enumerate(rows):
            evaluator.evaluated(index, row.tolist())
        R = matrix_of_rows(rows, count)

        assert evaluator.matrix == R.tolist()
        assert forgetting_first(R) == pytest.approx(evaluator.stream_forgetting(), abs=1e-12)
        assert bwt(R) == pytest.approx(evaluator.stream_bwt(), abs=1e-12)
        assert fwt(R, untrained) == pytest.approx(evaluator.stream_forward_transfer(), abs=1e-12)
        assert acc_final(R) == pytest.approx(np.mean(evaluator.matrix[-1]))
        assert forgetting_max(R) >= forgetting_first(R) - 1e-12
