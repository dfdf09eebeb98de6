"""What the parts of a run's page are made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from clrun.metrics.proportion import wilson
from clrun.records.past_run import read_run
from clrun.report.beside import beside, reference_command
from clrun.report.defaults import settings
from clrun.report.intervals import intervals
from clrun.report.moments import read_story, thinned
from clrun.report.page import render
from clrun.report.run_curves import class_rows
from clrun.report.run_page import run_page, verdict
from clrun.report.safetensors_file import TensorFile
from clrun.report.thumbnails import thumbnails


def copied(folder: Path, to: Path, **changes) -> Path:
    """A copy of a run's records, with other keys in run.json."""
    to.mkdir()
    for name in ("run.json", "results.json", "metrics.jsonl"):
        shutil.copy(folder / name, to)
    record = json.loads((to / "run.json").read_text())
    (to / "run.json").write_text(json.dumps(record | changes))
    return to


def the(runs: Path, strategy: str) -> Path:
    [found] = runs.glob(f"{strategy}-*")
    return found


def test_a_settings_default_is_what_its_option_says(folder):
    changed = {each.key: each for each in settings(read_run(folder)) if not each.is_default}

    assert {key: each.value for key, each in changed.items()} == {
        "strategy.mem_size": 40,
        "strategy.train_epochs": 1,
        "benchmark.limit_per_class": 40,
        "model.hidden": [16],
        "device": "cpu",
        "device.threads": 1,
        "eval.every_steps": 3,
        "checkpoint.every_steps": 9,
    }
    assert changed["strategy.mem_size"].default == 200
    assert "rows the memory holds" in changed["strategy.mem_size"].comment


def test_settings_that_another_run_has_otherwise(runs, folder):
    found = settings(read_run(folder), read_run(the(runs, "naive")))

    differ = {each.key: each.other for each in found if not each.is_like_other}
    assert differ["strategy"] == "naive"
    assert differ["eval.every_steps"] is None
    assert "seed" not in differ
    assert "strategy.lr" not in differ


def test_a_run_that_is_called_alike_is_named_by_its_folder(folder, tmp_path):
    other = copied(folder, tmp_path / "earlier")

    text = render(run_page(read_run(folder), beside(folder, against=other)))

    assert "replay-digits-s0 minus earlier" in text
    assert "0 of" in text
    assert "settings differ from earlier" in text


def test_the_command_of_a_floor_has_what_both_strategies_know(folder):
    run = read_run(folder)

    words = reference_command(run, "naive").split()

    assert words[:2] == ["clrun", "strategy=naive"]
    assert "strategy.train_epochs=1" in words
    assert "model.hidden=[16]" in " ".join(words).replace("'", "").split()
    assert not [word for word in words if "mem_size" in word or "replay" in word]


def test_floor_and_ceiling_are_found_in_the_sweep_of_a_run(runs, folder, tmp_path):
    alone = beside(folder)
    (runs / "multirun.yaml").touch()
    try:
        found = beside(folder)
    finally:
        (runs / "multirun.yaml").unlink()

    assert alone.naive is None
    assert found.naive.folder == the(runs, "naive")
    assert found.joint.folder == the(runs, "joint")
    assert "of the way from a naive run" in verdict(read_run(folder), found)
    page = render(run_page(read_run(folder), found))
    assert "naive, the floor" in page
    assert "joint, the ceiling" in page
    assert "<code>--joint</code>" not in page


def test_the_interval_of_the_pooled_accuracy_is_of_all_test_rows(folder):
    run = read_run(folder)
    rows = sum(each["test_rows"] for each in run.results["experiences"])

    found = intervals(run.measured.measurements)

    assert found["acc_pooled"] == pytest.approx(wilson(run.metrics["acc_pooled"], rows))
    for key in ("acc_final", "learning_accuracy", "bwt", "forgetting_first"):
        low, high = found[key]
        assert low <= run.metrics[key] <= high
    assert "forgetting_max" not in found


def test_moments_are_counted_in_experiences_updates_rows_and_seconds(folder):
    run = read_run(folder)

    story = read_story(run)

    clock = story.clock(story.ends)
    assert clock["experience"] == [1, 2, 3, 4, 5]
    assert clock["update"][-1] == run.cost["train_steps"]
    assert clock["rows"][-1] == run.cost["patterns_seen"]
    assert clock["MACs"][-1] == run.cost["train_macs"]
    assert not story.is_shared_out
    whole = story.clock(story.moments)
    assert all(values == sorted(values) for values in whole.values())
    assert [axis.key for axis in story.axes()] == [
        "experience",
        "update",
        "rows",
        "MACs",
        "seconds",
    ]


def test_of_many_moments_the_ends_and_the_worst_stay(folder):
    moments = read_story(read_run(folder)).moments
    inside = [m for m in moments if not m.is_end and m.experience]
    worst = min(inside, key=lambda m: np.mean(m.accuracies[: m.experience]))

    found = thinned(moments, most=8)

    assert 5 < len(found) <= 9
    assert [m for m in found if m.is_end] == [m for m in moments if m.is_end]
    assert worst in found
    assert thinned(moments) == list(moments)


def test_classes_say_what_they_are_taken_for(folder):
    rows = class_rows(read_run(folder))
    confusion = read_run(folder).measured.measurements.confusion

    assert [row.name for row in rows] == [str(c) for c in range(10)]
    assert [row.learnt for row in rows] == ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5"]
    assert sum(row.rows for row in rows) == int(np.asarray(confusion)[:, 2].sum())
    for row in rows:
        assert row.low <= row.accuracy <= row.high
        assert (row.taken_for == "") == (row.accuracy == 1)


def test_single_rows_of_a_state_are_read_without_the_rest(folder):
    path = sorted((folder / "checkpoints").glob("state-*.safetensors"))[-1]
    whole = safetensors.numpy.load_file(path)

    file = TensorFile(path)

    name = "state/strategy/memory/x"
    assert file.shape(name) == ("U8", whole[name].shape)
    assert file.shape("nothing") is None
    assert (file.rows(name, [3, 0]) == whole[name][[3, 0]]).all()
    assert (file.rows("state/strategy/memory/y") == whole["state/strategy/memory/y"]).all()


def test_pictures_of_the_memory_say_of_when_they_are(folder, tmp_path):
    found = thumbnails(folder, [str(c) for c in range(10)])
    none = thumbnails(tmp_path, [])

    assert found.reason == ""
    assert 1 <= found.after <= 5
    assert sum(each.held for each in found.pictures) <= 40
    assert all(each.address.startswith("data:image/png;base64,") for each in found.pictures)
    assert none.pictures == []
    assert "no saved state" in none.reason


def test_a_state_that_is_damaged_costs_the_pictures_alone(folder, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for content in (b"", b"\x05\0\0\0\0\0\0\0abcde", b"\xff" * 64):
        (tmp_path / "checkpoints" / "state-000000001.safetensors").write_bytes(content)

        assert "cannot be read" in thumbnails(tmp_path, []).reason


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("failed", "This run failed: it broke"),
        ("interrupted", "clrun resume goes on with it"),
        ("running", "ended without a word"),  # nobody holds its lock
    ],
)
def test_a_run_that_did_not_finish_says_so_and_shows_what_there_is(status, words, folder, tmp_path):
    copy = copied(folder, tmp_path / "run", status=status, error="it broke", seconds=None)
    (copy / "results.json").unlink()
    lines = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    third = next(i for i, line in enumerate(lines) if '"memory", "experience": 2' in line)
    (copy / "metrics.jsonl").write_text("".join(lines[: third + 4]))

    text = render(run_page(read_run(copy)))

    assert words in text
    assert "What follows is of the 3 experiences that it finished." in text
    assert "After 3 finished experiences" in text
    assert "did not come to say what it cost" in text


def test_a_run_that_measured_nothing_has_a_page(folder, tmp_path):
    copy = copied(folder, tmp_path / "run", status="failed", error="no space left")
    (copy / "results.json").unlink()
    (copy / "metrics.jsonl").write_text("")

    text = render(run_page(read_run(copy)))

    assert "nothing was measured" in text
    assert "there is no matrix yet" in text
    assert "No metric has a value yet." in text


def test_a_joint_run_has_one_row_and_nothing_over_time(runs):
    text = render(run_page(read_run(the(runs, "joint"))))

    assert "After learning all 5 experiences at once" in text
    assert "It was evaluated once" in text
    assert '<th scope="row">all</th>' in text
