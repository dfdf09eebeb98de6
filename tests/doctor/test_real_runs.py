"""What the checks find in runs that were made, not written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

import clrun
from clrun.doctor.checks import checked
from clrun.doctor.evidence import evidence
from clrun.errors import NonFiniteLoss
from clrun.images.transforms import Transform
from clrun.streams.experience import Benchmark

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


@pytest.mark.parametrize(("mean", "is_wrong"), [(0.1, True), (0.5, False)])
def test_statistics_of_other_images_are_seen(mean, is_wrong, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8)).astype(np.uint8)
    part, transform = (x, np.arange(40) % 2), Transform((mean,), (0.29,), "none")
    own = Benchmark.of_arrays([part, part], [part, part], transform=transform)

    clrun.run(clrun.compose([*QUICK, "model.hidden=[8]"]), tmp_path / "run", benchmark=own)

    found = {c.check for c in checked(evidence(tmp_path / "run")) if c.findings}
    assert ("statistics of the images" in found) == is_wrong


def test_naive_training_forgets_everything(found):
    said = found("strategy=naive", "strategy.train_epochs=8")

    assert said["forgetting"].startswith("All 4 earlier experiences are forgotten")


def test_separate_heads_are_judged_by_what_they_say_with_task_ids(found):
    assert found("strategy=naive", "strategy.active=experience", "eval.task_ids=true") == {}


def test_a_step_size_that_is_much_too_small_learns_nothing(found):
    said = found("strategy=joint", "strategy.lr=1e-7")

    assert "Nothing was learnt in experience 1" in said["nothing learnt"]
    assert "guessing among 10 classes" in said["final accuracy"]


def test_a_step_size_that_is_much_too_large_ends_the_run(found):
    assert "NonFiniteLoss" in found("strategy.lr=1e30")["end of the run"]


@pytest.mark.parametrize(
    ("keys", "is_idle"),
    [
        ("ewc_lambda: 100", False),
        ("ewc_lambda: 100, exclude: ['*']", True),  # nothing is left to hold on to
        ("ewc_lambda: 0", False),  # as asked for
    ],
)
def test_a_penalty_that_holds_on_to_nothing_is_idle(keys, is_idle, found):
    said = found("strategy=naive", f"strategy.plugins=[{{name: si, {keys}}}]")

    assert ("penalty" in said) == is_idle


@pytest.mark.parametrize(("step", "is_idle"), [("4.1e-5", True), ("0.01", False)])
def test_bounds_that_hardly_rise_are_seen(step, is_idle, found):
    said = found(
        *("strategy=ar1", "strategy.rm_sz=50", "strategy.train_mb_size=32"),
        *("model=slim_resnet18", "model.width=8", "strategy.latent_layer=layer2"),
        *("benchmark.limit_per_class=20", f"strategy.inc_step={step}"),
    )

    assert ("bounds of BatchReNorm" in said) == is_idle
