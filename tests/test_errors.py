from __future__ import annotations

import pickle

import pytest

from clrun.errors import ClrunError, ConfigError, NonFiniteLoss
from clrun.runner.interrupt import Interrupted


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(["seed=x: must be a whole number.", "seed=y: too."]),
        NonFiniteLoss(float("inf"), experience=1, epoch=2, iteration=3),
        Interrupted(2),
        Interrupted(15, "3 jobs: 1 completed, 2 not started."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_reaches_another_process_as_it_was_raised(error: ClrunError) -> None:
    there = pickle.loads(pickle.dumps(error))

    assert type(there) is type(error)
    assert str(there) == str(error)
    assert there.exit_code == error.exit_code
