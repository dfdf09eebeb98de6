import subprocess
import sys

import pytest

from clrun.metrics import headline

NAMES = [
    "acc_final",
    "aia",
    "aaa",
    "bwt",
    "fwt",
    "forgetting_max",
    "forgetting_first",
    "learning_accuracy",
    "acc_pooled",
]


def test_every_metric_of_a_complete_run_has_its_value_and_no_note():
    R = [[0.9, 0.1], [0.5, 0.7]]

    values, notes = headline(R, [0.2, 0.2], [30, 10], list(enumerate(R)))

    assert values == {
        "acc_final": pytest.approx(0.6),
        "aia": pytest.approx(0.75),
        "aaa": pytest.approx(0.75),
        "bwt": pytest.approx(-0.4),
        "fwt": pytest.approx(-0.1),
        "forgetting_max": pytest.approx(0.4),
        "forgetting_first": pytest.approx(0.4),
        "learning_accuracy": pytest.approx(0.8),
        "acc_pooled": pytest.approx(0.55),
    }
    assert list(values) == NAMES
    assert notes == {}
    assert all(type(value) is float for value in values.values())  # json knows no numpy


def test_joint_training_has_final_accuracies_and_a_reason_for_each_other_metric():
    R = [[0.9, 0.7]]

    values, notes = headline(R, [0.2, 0.2], [30, 10], [(1, R[0])])

    known = {name: value for name, value in values.items() if value is not None}
    assert known == {"acc_final": pytest.approx(0.8), "acc_pooled": pytest.approx(0.85)}
    assert sorted(notes) == sorted(set(NAMES) - set(known))
    assert all("1 evaluation of 2 experiences" in reason for reason in notes.values())


def test_without_an_untrained_evaluation_only_forward_transfer_is_undefined():
    R = [[0.9, 0.1], [0.5, 0.7]]

    values, notes = headline(R, None, [30, 10], list(enumerate(R)))

    assert list(notes) == ["fwt"]
    assert values["fwt"] is None


def test_one_experience_has_accuracies_and_no_transfer():
    values, notes = headline([[0.9]], [0.1], [30], [(0, [0.9])])

    assert sorted(notes) == ["bwt", "forgetting_first", "forgetting_max", "fwt"]
    assert values["aia"] == values["learning_accuracy"] == 0.9


def test_metrics_are_computed_without_torch():
    program = "import sys, clrun.metrics; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
