"""The command line, end to end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from clrun.cli.main import main
from clrun.config.sources import options
from clrun.metrics import METRICS

QUICK = ["strategy=naive", "strategy.train_epochs=1"]


def test_a_run_ends_with_the_matrix_the_metrics_and_the_folder(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(QUICK)

    output = capsys.readouterr().out
    folder = (workplace / "outputs" / "latest").resolve()
    assert code == 0
    for phrase in ("after experience 5/5", "Test accuracy", "final accuracy", "forgetting"):
        assert phrase in output
    assert f"Results: {folder}" in output
    assert f"Report: {folder / 'report.html'}\n" in output
    assert sorted(path.name for path in folder.iterdir()) == [
        ".hydra",
        ".lock",
        "accuracy_matrix.csv",
        "checkpoints",
        "clrun.log",
        "metrics.jsonl",
        "report.html",
        "results.json",
        "run.json",
    ]
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"


def test_a_run_that_is_scored_on_validation_rows_says_so(workplace, capsys):
    assert main([*QUICK, "eval.stream=validation", "benchmark.validation_fraction=0.2"]) == 0

    output = capsys.readouterr().out
    assert "Validation accuracy by experience" in output
    assert "Test accuracy" not in output


def test_the_log_has_a_line_for_each_experience(workplace: Path) -> None:
    assert main([*QUICK, "hydra.run.dir=run"]) == 0

    lines = (workplace / "run" / "clrun.log").read_text().splitlines()
    messages = [line.partition("[INFO] ")[2] for line in lines if "[clrun][INFO]" in line]
    starts = ["naive-digits-s0 on cpu", *(f"after experience {k}/5, " for k in range(1, 6))]
    assert len(messages) == 7
    assert all(map(str.startswith, messages, [*starts, "completed: "]))
    assert re.search(r"[0-9]\.[0-9] s: mean 0\.[0-9]{3}  \[(0\.[0-9]{3}[ \]]){5}$", messages[5])


def test_run_is_an_alias(workplace: Path) -> None:
    assert main(["run", *QUICK]) == 0
    assert (workplace / "outputs" / "latest" / "results.json").is_file()


@pytest.mark.parametrize("errors", [None, subprocess.STDOUT])
def test_a_run_whose_reader_left_goes_on_to_its_end(workplace: Path, errors: int | None) -> None:
    words = [sys.executable, "-m", "clrun", *QUICK, "selection=herding"]  # which has a note

    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors)
    assert run.stdout is not None
    run.stdout.readline()
    run.stdout.close()

    assert run.wait() == 0
    folder = workplace / "outputs" / "latest"
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"


def test_two_runs_started_together_get_two_folders(workplace: Path) -> None:
    words = [sys.executable, "-m", "clrun", *QUICK]
    both = [subprocess.Popen(words, cwd=workplace, stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [process.wait() for process in both] == [0, 0]

    runs = list((workplace / "outputs").glob("*/*/run.json"))
    assert len(runs) == 2
    assert len({json.loads(path.read_text())["run_id"] for path in runs}) == 2


def test_hydra_run_dir_is_used_as_given_and_never_twice(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*QUICK, "hydra.run.dir=my run/${seed}"]

    assert main(words) == 0
    before = (workplace / "my run" / "0" / "results.json").read_bytes()
    code = main(words)

    assert code == 3
    assert "holds a run already (status completed)" in capsys.readouterr().err
    assert (workplace / "my run" / "0" / "results.json").read_bytes() == before


def test_a_saved_configuration_runs_again_to_the_same_results(workplace: Path) -> None:
    assert main([*QUICK, "seed=3", "hydra.run.dir=first"]) == 0

    code = main(["--config-path", "first/.hydra", "--config-name", "config", "hydra.run.dir=again"])

    assert code == 0
    first, again = (
        json.loads((workplace / name / "results.json").read_text()) for name in ("first", "again")
    )
    assert first["accuracy_matrix"] == again["accuracy_matrix"]
    assert first["config_hash"] == again["config_hash"]


@pytest.mark.parametrize("word", ["experiment=mine", "+experiment=mine"])
def test_a_recipe_of_ones_own_is_found_through_config_dir(word: str, workplace: Path) -> None:
    recipe = workplace / "mine" / "experiment" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(
        "# @package _global_\ndefaults:\n  - override /strategy: naive\n"
        "strategy:\n  train_epochs: 1\nseed: 7\n"
    )

    assert main(["--config-dir", "mine", word, "hydra.run.dir=run"]) == 0

    saved = yaml.safe_load((workplace / "run" / ".hydra" / "config.yaml").read_text())
    assert saved["seed"] == 7
    assert saved["strategy"]["target"] == "clrun.strategies.naive:Naive"


def test_a_diverging_run_exits_with_6_and_says_so_in_run_json(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["strategy=naive", "strategy.lr=1e20"])

    output = capsys.readouterr().err
    assert code == 6
    assert len(output.splitlines()) == 1
    assert "A smaller strategy.lr may help" in output
    record = json.loads((workplace / "outputs" / "latest" / "run.json").read_text())
    assert record["status"] == "failed"
    assert "NonFiniteLoss" in record["error"]


def test_a_traceback_is_shown_only_with_debug(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["strategy.lr=fast"])
    quiet = capsys.readouterr().err
    main(["--debug", "strategy.lr=fast"])
    loud = capsys.readouterr().err

    assert "Traceback" not in quiet
    assert "Traceback" in loud


def test_groups_without_effect_are_shown(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "storage_policy=reservoir"]) == 0

    assert (
        "strategy=naive keeps no memory: storage_policy has no effect." in capsys.readouterr().err
    )


def test_help_shows_every_group_and_option(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0

    output = capsys.readouterr().out
    for line in (
        f"strategy: {', '.join(option.name for option in options('strategy'))}",
        "storage_policy: class_balanced, experience_balanced, greedy_balanced, reservoir",
        "selection: closest_to_center, herding, random, unit_herding",
        "device: auto, cpu, cuda, mps",
        "mem_size: 200",
    ):
        assert line in output


def test_list_names_the_groups_asked_for(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "strategies", "models"]) == 0

    output = capsys.readouterr().out
    assert "naive" in output
    assert "slim_resnet18" in output
    assert "herding" not in output


def test_list_has_every_metric(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "metrics"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "metric"
    assert [line.split()[0] for line in lines[1:]] == [metric.key for metric in METRICS]


def test_what_the_device_does_slowly_is_noted(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "device=cpu", "device.precision=fp16"]) == 0

    assert "clrun: note: device.precision=fp16: slower than fp32" in capsys.readouterr().err


KEEPING = """
from dataclasses import dataclass

from torch import nn


class Keeping(nn.Module):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        pass

    def __init__(self, config, shape):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(shape.channels, 4, 3), nn.BatchNorm2d(4)
        self.output = nn.Linear(144, shape.num_classes)

    def forward(self, x):
        self.kept = self.norm(self.conv(x))
        return self.output(self.kept.flatten(1))
"""


def test_a_model_that_is_not_folded_is_noted_on_the_screen_and_in_the_log(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "keeping.py").write_text(KEEPING)
    (workplace / "own" / "model").mkdir(parents=True)
    (workplace / "own" / "model" / "keeping.yaml").write_text("target: keeping:Keeping\n")
    monkeypatch.syspath_prepend(str(workplace))

    code = main(["--trust", "--config-dir", "own", "model=keeping", *QUICK, "device=cpu"])

    note = "Keeping is evaluated layer by layer, which is slower: its forward pass changes"
    assert code == 0
    assert f"clrun: note: {note}" in capsys.readouterr().err
    assert note in (workplace / "outputs" / "latest" / "clrun.log").read_text()
