from __future__ import annotations

import pytest
import torch

from clrun.fast.chunks import frozen_rows, learning_rows


@pytest.mark.parametrize(
    ("device", "tricks", "frozen", "learning"),
    [("cpu", True, 16, 30), ("cpu", False, 128, 500), ("cuda", True, 128, 500)],
)
def test_few_rows_go_together_on_a_cpu_with_tricks_only(device, tricks, frozen, learning):
    where = torch.device(device)

    assert frozen_rows(where, tricks=tricks) == frozen
    assert learning_rows(where, 500, tricks=tricks) == learning
