from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import clrun
from clrun.runner.summary import json_keys, table
from clrun.strategies.learner import Learner
from clrun.streams.experience import Benchmark

NAN = np.nan


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], [], id="no row"),
        pytest.param([None, None], [[], []], id="nothing evaluated"),
        pytest.param([None, [0.5, 1.0]], [[], [0.5, 1.0]], id="at the end alone"),
        pytest.param([[0.5], [0.5, NAN, 1.0]], [[0.5, None, None], [0.5, None, 1.0]], id="seen"),
    ],
)
def test_rows_are_as_long_as_the_longest_and_empty_where_not_evaluated(rows, expected):
    arrays = [None if row is None else np.array(row) for row in rows]

    assert table(arrays) == expected


def test_maps_survive_json_as_they_are():
    rows = {"rows": 3, "per_class": {0: 1, 10: 2}, "per_experience": {}}

    keyed = json_keys(rows)

    assert json.loads(json.dumps(keyed)) == keyed
    assert keyed == {"rows": 3, "per_class": {"0": 1, "10": 2}, "per_experience": {}}


def many_experiences(count: int) -> Benchmark:
    """Experiences of one row each."""
    rows = [(torch.full((1, 1, 2, 2), k % 251).byte(), torch.tensor([k % 2])) for k in range(count)]
    return Benchmark.of_arrays(rows, rows, class_names=["even", "odd"])


def test_what_was_not_evaluated_takes_no_space(tmp_path):
    keys = ("device=cpu", "device.threads=1", "model.hidden=[4]", "strategy.train_epochs=1")
    sizes = {}
    for count in (100, 400):
        folder = tmp_path / str(count)
        config = clrun.compose(["strategy=naive", "strategy.eval_every=-1", *keys])

        results = clrun.run(config, folder, benchmark=many_experiences(count))

        assert results.accuracy_matrix[:-1] == [[]] * (count - 1)
        assert len(results.accuracy_matrix[-1]) == count
        sizes[count] = {file.name: file.stat().st_size for file in folder.iterdir()}
    for name in ("results.json", "accuracy_matrix.csv", "metrics.jsonl"):
        assert sizes[400][name] < 5 * sizes[100][name], name


def test_an_evaluation_of_many_small_experiences_takes_few_forward_passes(tmp_path, monkeypatch):
    passes = []
    predict = Learner.predict
    monkeypatch.setattr(Learner, "predict", lambda self, x: passes.append(1) or predict(self, x))
    keys = ("device=cpu", "device.threads=1", "model.hidden=[4]", "strategy.train_epochs=1")
    config = clrun.compose(["strategy=naive", "strategy.eval_mb_size=64", *keys])

    clrun.run(config, tmp_path / "run", benchmark=many_experiences(128))

    assert 2 * 129 <= len(passes) <= 2 * 129 + 2  # the trained model is looked at once more
