"""The same numbers as Avalanche's own metrics, on 200 random streams: those that Avalanche gave for
them (`scripts/avalanche_metrics`), and those of a copy of how it comes by them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from clrun.metrics import acc_final, bwt, forgetting_first, forgetting_max, fwt, matrix_of_rows
from oracles.avalanche_metrics import Evaluator
from oracles.random_streams import ROWS, random_stream

RECORDED = json.loads(Path(__file__).with_name("avalanche_values.json").read_text())


def test_the_metrics_are_what_avalanche_itself_gave():
    assert len(RECORDED["values"]) == 200
    for seed, (forgetting, backward, forward, accuracy, digest) in enumerate(RECORDED["values"]):
        stream = random_stream(seed)
        R = matrix_of_rows(np.array(stream.learnt) / ROWS, len(stream.untrained))
        untrained = np.array(stream.untrained) / ROWS

        text = json.dumps([[round(float(value), 6) for value in row] for row in R])
        assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)
        assert forgetting_first(R) == pytest.approx(forgetting, abs=1e-9)
        assert bwt(R) == pytest.approx(backward, abs=1e-9)
        assert fwt(R, untrained) == pytest.approx(forward, abs=1e-9)
        assert acc_final(R) == pytest.approx(accuracy, abs=1e-9)


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
