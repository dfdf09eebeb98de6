from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clrun.errors import ConfigError
from clrun.metrics import METRICS, Measurements, Metric, Undefined, all_metrics, computed

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
COMPLETE = [[0.9, 0.1], [0.5, 0.7]]


def measured(R, **changed) -> Measurements:
    usual = {
        "accuracy": R,
        "class_accuracy": np.zeros((len(R), 4)),
        "initial": [0.2, 0.2],
        "test_rows": [30, 10],
        "evaluations": [(0, [0.8, 0.0]), (0, [0.9, 0.1]), (1, [0.3, 0.4]), (1, [0.5, 0.7])],
        "iterations": [5, 10, 15, 20],
        "ends": [False, True, False, True],
        "experience_classes": [[0, 1], [2, 3]],
        "confusion": [[0, 0, 2], [0, 2, 1], [2, 2, 3], [3, 0, 2]],
        "ece": 0.1,
        "nll": 0.5,
        "joint": [[0.95, 0.9]],
        "naive": [[0.9, 0.1], [0.1, 0.9]],
    }
    return Measurements(**{**usual, **changed})


def test_every_metric_of_a_complete_run_has_its_value_and_no_note():
    values, notes = computed(measured(COMPLETE))

    assert values == {
        "acc_final": pytest.approx(0.6),
        "aia": pytest.approx(0.75),
        "aaa": pytest.approx((0.8 + 0.9 + 0.35 + 0.6) / 4),
        "bwt": pytest.approx(-0.4),
        "fwt": pytest.approx(-0.1),
        "forgetting_max": pytest.approx(0.4),
        "forgetting_first": pytest.approx(0.4),
        "learning_accuracy": pytest.approx(0.8),
        "acc_pooled": pytest.approx(0.55),
        "acc_classes": 0.0,
        "intransigence": pytest.approx((0.05 + 0.2) / 2),
        "relative_forgetting": pytest.approx(0.5),
        "ece": 0.1,
        "nll": 0.5,
        "recency_bias": pytest.approx((1 + 3 - 3 - 2) / 8),
        "old_as_new": pytest.approx(1 / 3),
        "min_acc": pytest.approx(0.3),
        "wc_acc": pytest.approx((0.7 + 0.3) / 2),
        "wf10": pytest.approx((0.6 + 0.0) / 2),
        "wf100": pytest.approx((0.6 + 0.0) / 2),
        "wp10": pytest.approx((0.2 + 0.3) / 2),
        "wp100": pytest.approx((0.2 + 0.3) / 2),
        "stability_gap": pytest.approx(0.6),
        "gap_recovery": 10.0,
    }
    assert notes == {}
    assert all(type(value) is float for value in values.values())  # json knows no numpy


def test_joint_training_has_final_accuracies_and_a_reason_for_each_other_metric():
    R = [[0.9, 0.7]]

    values, notes = computed(measured(R, evaluations=[(1, R[0])], iterations=[9], ends=[True]))

    known = {name: value for name, value in values.items() if value is not None}
    assert known == {
        "acc_final": pytest.approx(0.8),
        "acc_pooled": pytest.approx(0.85),
        **{"acc_classes": 0.0, "ece": 0.1, "nll": 0.5},
    }
    assert set(notes) == set(values) - set(known)
    assert all("1 evaluation of 2 experiences" in reason for reason in notes.values())


def test_without_an_untrained_evaluation_only_forward_transfer_is_undefined():
    values, notes = computed(measured(COMPLETE, initial=None))

    assert list(notes) == ["fwt"]
    assert values["fwt"] is None


def test_one_experience_has_accuracies_and_no_transfer():
    own = {"evaluations": [(0, [0.8]), (0, [0.9])], "iterations": [5, 10], "ends": [False, True]}
    values, notes = computed(
        measured(
            [[0.9]],
            **{"initial": [0.1], "test_rows": [30], "joint": [[0.95]], "naive": [[0.9]]},
            **{"experience_classes": [[0, 1, 2, 3]], **own},
        )
    )

    assert set(notes) == {
        *("bwt", "fwt", "forgetting_max", "forgetting_first", "relative_forgetting"),
        *("recency_bias", "old_as_new", "min_acc", "wc_acc", "stability_gap", "gap_recovery"),
    }
    assert values["aia"] == values["learning_accuracy"] == 0.9
    assert values["intransigence"] == pytest.approx(0.05)
    assert values["wp10"] == pytest.approx(0.1)


def test_what_a_run_alone_or_its_ends_alone_do_not_say_has_a_reason():
    at_ends = {"evaluations": list(enumerate(COMPLETE)), "iterations": [5, 10], "ends": [True] * 2}
    unknown = dict.fromkeys(("joint", "naive", "confusion", "ece", "nll", "test_rows"))

    values, notes = computed(measured(COMPLETE, **at_ends, **unknown))

    assert values["aaa"] == values["aia"]
    assert notes == {
        "acc_pooled": "the sizes of the test sets are not known",
        "intransigence": "needs a joint run of the same stream: clrun metrics DIR --joint DIR",
        "relative_forgetting": "needs a naive run of the same stream: "
        "clrun metrics DIR --naive DIR",
        "recency_bias": "the confusion after the last experience was not measured",
        "old_as_new": "the confusion after the last experience was not measured",
        **dict.fromkeys(("ece", "nll"), "the evaluation after the last experience has none"),
        **dict.fromkeys(
            (
                "min_acc",
                "wc_acc",
                "wf10",
                "wf100",
                "wp10",
                "wp100",
                "stability_gap",
                "gap_recovery",
            ),
            "needs evaluations inside experiences: use an eval.every_steps below their updates",
        ),
    }


def test_the_direction_of_a_metric_is_that_of_a_run_that_forgets_less():
    worse, _ = computed(measured([[0.9, 0.1], [0.1, 0.7]]))
    better, _ = computed(measured([[0.9, 0.1], [0.8, 0.9]]))

    for metric in METRICS:
        one, other = worse[metric.key], better[metric.key]
        assert one is not None
        assert other is not None
        assert one == other or (other > one) == (metric.better == "higher"), metric.key


def test_metrics_are_computed_without_torch():
    program = "import sys, clrun.metrics as m; m.all_metrics(); sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_documentation_has_a_line_for_each_metric():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.+?) \| (\w+) \|$", DOCUMENTATION.read_text(), re.M
    )

    assert rows == [(m.key, m.label, m.meaning, m.better) for m in METRICS]


def test_the_documentation_has_the_formula_and_the_source_of_each_metric():
    formulas = re.findall(r"^\| `(\w+)` \| `(.+)` \| (.+?) \|$", DOCUMENTATION.read_text(), re.M)

    found = [(key, formula.replace("\\|", "|"), source) for key, formula, source in formulas]
    assert found == [(m.key, m.formula, m.source) for m in METRICS]
    assert all(formula and source for _, formula, source in found)


def metric(function, key: str = "mine") -> Metric:
    return Metric(key=key, label="mine", meaning="of ours", better="higher", function=function)


def undefined(_: Measurements) -> float:
    raise Undefined("never is")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (undefined, "never is"),
        (lambda m: m.accuracy[7][0], "failed: IndexError"),
        (lambda m: math.nan, "its value is nan"),
        (lambda m: math.inf, "its value is inf"),
        (lambda m: None, "failed: TypeError"),
    ],
)
def test_a_metric_without_a_number_is_none_with_the_reason_and_costs_no_other(function, reason):
    metrics = {"mine": metric(function), "acc_final": METRICS[0]}

    values, notes = computed(measured(COMPLETE), metrics)

    assert values == {"mine": None, "acc_final": pytest.approx(0.6)}
    assert reason in notes["mine"]


OUTSIDE = """
import numpy as np

from clrun.metrics import Metric

worst_class = Metric(
    key="worst_class",
    label="worst class",
    meaning="lowest class accuracy in the end",
    better="higher",
    function=lambda measured: np.nanmin(measured.class_accuracy[-1]),
)
twice = Metric(
    key="bwt", label="again", meaning="a key twice", better="lower", function=lambda measured: 0.0
)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package of one file whose entry point names this object."""

    def install(name: str) -> None:
        (tmp_path / "outside_metrics.py").write_text(OUTSIDE)
        about = tmp_path / "outside-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[clrun.metrics]\nmine = outside_metrics:{name}\n")
        monkeypatch.syspath_prepend(tmp_path)
        all_metrics.cache_clear()

    yield install
    monkeypatch.undo()
    all_metrics.cache_clear()


def test_a_metric_of_an_installed_package_is_reported_after_ours(installed):
    installed("worst_class")

    values, _ = computed(measured(COMPLETE, class_accuracy=np.array([[0.1, 0.2], [0.75, 0.25]])))

    assert list(values) == [*(m.key for m in METRICS), "worst_class"]
    assert values["worst_class"] == 0.25
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("twice", "a metric is called bwt already"),
        ("np", "is no clrun.metrics.Metric"),
        ("absent", "AttributeError"),
    ],
)
def test_what_an_installed_package_got_wrong_is_one_line_that_names_it(installed, name, reason):
    installed(name)

    with pytest.raises(ConfigError) as refused:
        all_metrics()

    assert len(str(refused.value).splitlines()) == 1
    assert f"clrun.metrics: mine = outside_metrics:{name} of outside" in str(refused.value)
    assert reason in str(refused.value)
