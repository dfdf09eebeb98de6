"""Metrics of a run from its folder alone, also of one that stopped or that an older clrun made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clrun.errors import ConfigError
from clrun.metrics import computed
from clrun.records.measured import Measured, read_measured

R = [[0.9, 0.1, 0.0], [0.6, 0.8, 0.2], [0.5, 0.7, 1.0]]
CLASSES = [[0, 1], [2], [3]]
ROWS = [20, 10, 10]


def written(
    folder: Path,
    experiences: int = 3,
    *,
    results: bool = True,
    change: Callable[..., Any] = lambda line: line,
) -> Path:
    """A run folder by hand, of a stream of three experiences of which so many were finished."""
    lines: list[dict[str, Any]] = [at(None, kind="eval", accuracy=[0.2, 0.1, 0.0])]
    for k in range(experiences):
        lines.append(at(k, kind="step", epoch=0, loss=0.5))
        lines.append(at(k, kind="eval", epoch=0, seen=k + 1, curve=[0.4] * (k + 1)))
        lines.append(at(k, kind="experience", classes=CLASSES[k], test_rows=ROWS[k]))
        values = {"seen": k + 1, "accuracy": R[k], "class_accuracy": [0.25 * (k + 1)] * 4}
        confusion = [[0, 0, 20], [2, 3, 10], [3, 3, 10]]
        lines.append(at(k, kind="eval", **values, ece=0.1, nll=0.5, confusion=confusion))
        lines.append(at(k, kind="memory", rows=0))
    record = {"status": "completed" if experiences == 3 else "failed", "label": "by hand"}
    record["data"] = {"class_names": ["a", "b", "c", "d"], "fingerprint": "f"}
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(record))
    changed = [change(line) for line in lines]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    if results and experiences == 3:
        described = [{"classes": c, "test_rows": n} for c, n in zip(CLASSES, ROWS, strict=True)]
        content = {"experiences": described, "accuracy_matrix": R}
        (folder / "results.json").write_text(json.dumps(content))
    return folder


def at(experience: int | None, **values: Any) -> dict[str, Any]:
    place = {
        "experience": experience,
        "epoch": None,
        "iteration": 10 * (experience or 0),
        "seconds": 1.0,
    }
    return {"kind": values.pop("kind"), **place, **values}


def metrics(run: Measured) -> dict[str, float | None]:
    return computed(run.measurements)[0]


def test_a_finished_run_has_all_metrics_that_need_no_other_run(tmp_path):
    run = read_measured(written(tmp_path / "run"))

    values, notes = computed(run.measurements)

    assert (run.experiences, run.total, run.label, run.status) == (3, 3, "by hand", "completed")
    assert set(notes) == {"intransigence", "relative_forgetting"}
    assert values["acc_final"] == pytest.approx(2.2 / 3)
    assert values["acc_pooled"] == pytest.approx((0.5 * 20 + 0.7 * 10 + 10) / 40)
    assert values["fwt"] == pytest.approx((0.0 + 0.2) / 2)
    assert values["min_acc"] == pytest.approx((0.4 + 0.4) / 2)
    assert values["recency_bias"] == pytest.approx((20 - 10) / 40)


def test_the_curve_is_on_the_same_rows_inside_an_experience_and_at_its_end(tmp_path):
    def with_subset(line: dict[str, Any]) -> dict[str, Any]:
        return line | ({"curve": [0.3] * len(line["accuracy"])} if "confusion" in line else {})

    values = metrics(read_measured(written(tmp_path / "run", change=with_subset)))

    assert values["min_acc"] == pytest.approx(0.3)
    assert values["acc_final"] == pytest.approx(2.2 / 3)


def test_results_json_is_not_needed(tmp_path):
    with_it = read_measured(written(tmp_path / "with"))
    without = read_measured(written(tmp_path / "without", results=False))

    assert metrics(without) == metrics(with_it)
    assert without.total is None


def test_a_run_that_did_not_finish_has_the_metrics_of_what_it_finished(tmp_path):
    run = read_measured(written(tmp_path / "run", 2))

    values, notes = computed(run.measurements)

    assert (run.experiences, run.status) == (2, "failed")
    assert np.asarray(run.measurements.accuracy).tolist() == [[0.9, 0.1], [0.6, 0.8]]
    assert values["acc_final"] == pytest.approx(0.7)
    assert values["bwt"] == pytest.approx(-0.3)
    assert values["acc_pooled"] == pytest.approx((0.6 * 20 + 0.8 * 10) / 30)
    assert values["acc_classes"] == 0.5
    assert np.isnan(np.asarray(run.measurements.class_accuracy)[-1]).tolist() == [False] * 3 + [
        True
    ]
    assert values["recency_bias"] == pytest.approx((0 - 10) / 30)  # rows of class 3 do not count
    nothing = "the evaluation after the last experience has none"  # it is of all rows
    assert (notes["nll"], notes["ece"]) == (nothing, nothing)


def test_a_run_without_a_finished_experience_has_a_reason_for_each_metric(tmp_path):
    values, notes = computed(read_measured(written(tmp_path / "run", 0)).measurements)

    assert set(values.values()) == {None}
    assert notes["acc_final"] == notes["bwt"] == "nothing was evaluated"


def test_an_older_log_has_the_metrics_that_its_lines_suffice_for(tmp_path):
    new = {"seen", "curve", "ece", "nll", "confusion", "test_rows"}

    def older(line: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in line.items() if key not in new}
        return kept | ({"accuracy": line["curve"]} if "curve" in line else {})

    now = metrics(read_measured(written(tmp_path / "now")))
    then, notes = computed(read_measured(written(tmp_path / "then", change=older)).measurements)

    unknown = {"ece", "nll", "recency_bias", "old_as_new"}
    assert {key: value for key, value in then.items() if key not in unknown} == {
        key: value for key, value in now.items() if key not in unknown
    }
    assert unknown < set(notes)


def joint(folder: Path, row: list[float], **changes: Any) -> Path:
    """A joint run by hand."""
    written(folder)
    lines = [
        at(0, kind="eval", seen=3, accuracy=row, class_accuracy=[1.0] * 4),
        at(0, kind="memory", rows=0),
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = json.loads((folder / "results.json").read_text())
    content |= {"accuracy_matrix": [row]} | changes
    (folder / "results.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("is_older", [False, True])
def test_a_joint_run_is_read_and_compared_with(is_older, tmp_path):
    other = joint(tmp_path / "joint", [1.0, 0.9, 0.9])
    if is_older:
        log = other / "metrics.jsonl"
        log.write_text(log.read_text().replace('"seen": 3, ', ""))
    read = read_measured(other)

    run = read_measured(written(tmp_path / "run")).beside(joint=read, naive=None)

    assert metrics(read)["acc_final"] == pytest.approx(2.8 / 3)
    assert metrics(run)["intransigence"] == pytest.approx((0.1 + 0.1 - 0.1) / 3)


def test_a_run_is_compared_as_far_as_it_got(tmp_path):
    whole = read_measured(written(tmp_path / "whole"))
    run = read_measured(written(tmp_path / "run", 2))
    other = read_measured(joint(tmp_path / "joint", [1.0, 0.9, 0.9]))

    found = metrics(run.beside(joint=other, naive=whole))

    assert found["intransigence"] == pytest.approx((0.1 + 0.1) / 2)
    assert found["relative_forgetting"] == pytest.approx(1)


def test_a_run_of_another_stream_is_no_reference(tmp_path):
    run = read_measured(written(tmp_path / "run"))
    described = [{"classes": c, "test_rows": 5} for c in ([3], [2], [0, 1])]
    other = read_measured(joint(tmp_path / "joint", [1.0] * 3, experiences=described))

    with pytest.raises(ConfigError, match=r"--joint .*: the classes of the .* are others"):
        run.beside(joint=other, naive=None)

    record = (tmp_path / "joint" / "run.json").read_text().replace('"f"', '"g"')
    (tmp_path / "run" / "run.json").write_text(record)
    with pytest.raises(ConfigError, match=r"--naive .*: the data are others than in"):
        read_measured(written(tmp_path / "again")).beside(
            joint=None, naive=read_measured(tmp_path / "run")
        )


def test_lines_that_are_cut_off_or_damaged_are_left_out(tmp_path):
    folder = written(tmp_path / "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('[1]\nnull\n{"kind": "eval"}\n{"kind": "ev')

    assert metrics(read_measured(folder))["acc_final"] == pytest.approx(2.2 / 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"kind": "eval", "experience": 0, "epoch": null}', "is damaged: KeyError"),
        ('{"kind": "memory", "experience": [0], "epoch": null}', "is damaged: TypeError"),
        (
            '{"kind": "eval", "experience": 0, "epoch": 0, "iteration": 1, "curve": ["x"]}',
            "is damaged: ValueError",
        ),
    ],
)
def test_a_log_of_another_kind_is_one_line_that_names_it(text, reason, tmp_path):
    folder = written(tmp_path / "run")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(text + "\n")

    with pytest.raises(ConfigError, match=reason) as refused:
        read_measured(folder)
    assert len(str(refused.value).splitlines()) == 1


def test_a_folder_without_a_run_or_without_a_log_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        read_measured(tmp_path)
    folder = written(tmp_path / "run")
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"metrics.jsonl: cannot be read"):
        read_measured(folder)
