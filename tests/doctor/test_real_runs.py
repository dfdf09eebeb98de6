"""What the checks find in runs that were made, not written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

import clrun
from clrun.doctor.checks import checked
from clrun.doctor.evidence import evidence
from clrun.errors import NonFiniteLoss

QUICK = ("device=cpu", "device.threads=1", "strategy.train_epochs=4")


@pytest.fixture
def found(tmp_path) -> Callable[..., dict[str, str]]:
    """Overrides -> check -> what was seen in the run that they make."""

    def look(*overrides: str) -> dict[str, str]:
        with suppress(NonFiniteLoss):
            clrun.run(clrun.compose([*QUICK, *overrides]), tmp_path / "run")
        checks = checked(evidence(tmp_path / "run"))
        return {check.check: check.findings[0].seen for check in checks if check.findings}

    return look


def test_a_sound_run_has_no_findings(found):
    assert found("strategy.mem_size=300") == {}


def test_naive_training_forgets_everything(found):
    said = found("strategy=naive", "strategy.train_epochs=8")

    assert said["forgetting"].startswith("All 4 earlier experiences are forgotten")


def test_a_step_size_that_is_much_too_small_learns_nothing(found):
    said = found("strategy=joint", "strategy.lr=1e-7")

    assert "Nothing was learnt in experience 0" in said["nothing learnt"]
    assert "guessing among 10 classes" in said["final accuracy"]


def test_a_step_size_that_is_much_too_large_ends_the_run(found):
    assert "NonFiniteLoss" in found("strategy.lr=1e30")["end of the run"]
