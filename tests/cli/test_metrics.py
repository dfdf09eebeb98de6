"""`clrun metrics`: all metrics of old runs again."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import clrun
from clrun.cli.main import main
from clrun.console.measured import Row, print_rows
from clrun.metrics import computed, plain_metrics
from clrun.records.measured import read_measured

QUICK = (
    *("device=cpu", "device.threads=1", "model.hidden=[16]", "strategy.train_epochs=1"),
    "benchmark.limit_per_class=40",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a naive run, a joint one and one that was interrupted."""
    top = tmp_path_factory.mktemp("runs")
    for name, words in {
        "naive": ("strategy=naive", "eval.every_steps=2"),
        "joint": ("strategy=joint",),
    }.items():
        clrun.run(clrun.compose([*QUICK, *words]), top / "sweep" / name)
    (top / ".hidden").mkdir()
    (top / ".hidden" / "run.json").write_text("{}")
    (top / "latest").symlink_to(top / "sweep" / "naive")
    return top


def printed(capsys, *words: Any) -> str:
    assert main(["metrics", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_the_metrics_of_a_run_are_those_it_reported(runs, capsys):
    folder = runs / "sweep" / "naive"
    results = json.loads((folder / "results.json").read_text())

    found = json.loads(printed(capsys, folder, "--json"))

    assert found["metrics"] == results["metrics"]
    reasons = {k: why for k, why in results["notes"].items() if k in results["metrics"]}
    assert found["notes"] == reasons
    assert found["class_accuracy"] == results["class_accuracy"][-1]
    assert (found["experiences"], found["of"], found["status"]) == (5, 5, "completed")
    assert sum(rows for _, _, rows in found["confusion"]) == sum(
        experience["test_rows"] for experience in results["experiences"]
    )


def test_each_metric_is_shown_with_its_value_or_why_it_has_none(runs, capsys):
    lines = printed(capsys, runs / "sweep" / "naive").splitlines()

    assert lines[0] == "naive-digits-s0: completed, 5 of 5 experiences finished"
    known = list(plain_metrics())
    assert [line.split()[0] for line in lines[1 : len(known) + 1]] == known
    text = " ".join("\n".join(lines).split())
    assert "relative_forgetting - undefined: needs a naive run of the same stream" in text
    assert "taken most for" in text


def test_other_runs_of_the_stream_give_what_needs_them(runs, capsys):
    naive, joint = runs / "sweep" / "naive", runs / "sweep" / "joint"

    words = (naive, "--joint", joint, "--naive", naive, "--json")
    found = json.loads(printed(capsys, *words))

    ends = json.loads((joint / "results.json").read_text())["accuracy_matrix"][0]
    own = json.loads((naive / "results.json").read_text())["accuracy_matrix"]
    gaps = [best - own[k][k] for k, best in enumerate(ends)]
    assert found["metrics"]["intransigence"] == pytest.approx(sum(gaps) / 5)
    assert found["metrics"]["relative_forgetting"] == pytest.approx(1)
    assert found["notes"] == {}


def test_a_folder_of_runs_gives_a_table_with_a_row_for_each(runs, capsys):
    found = json.loads(printed(capsys, runs, "--json"))
    shown = printed(capsys, runs)

    assert [Path(run["folder"]).name for run in found] == ["joint", "naive"]
    head, *rows = [line.split() for line in shown.splitlines() if line.strip()]
    assert head[:3] == ["run", "experiences", "acc_final"]
    assert {row[0] for row in rows} >= {"joint", "naive"}


@pytest.mark.parametrize("width", [60, 80, 300])
def test_a_table_of_runs_fits_the_terminal_and_says_what_it_leaves_out(runs, width):
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    rows = [
        Row(
            f"{name}-digits-s0-0123456789ab",
            "5 of 5",
            *computed(read_measured(runs / "sweep" / name).measurements),
        )
        for name in ("joint", "naive")
    ]

    print_rows(console, rows)

    head, one, two, *rest = console.file.getvalue().splitlines()
    assert head.split()[:3] == ["run", "experiences", "acc_final"]
    assert [line.split()[0] for line in (one, two)] == [row.name for row in rows]
    assert max(map(len, (head, one, two))) <= width
    hidden = " ".join(map(str.strip, rest)).removeprefix("no room here for ").partition(":")[0]
    known = [metric.key for metric in plain_metrics().values() if metric.in_end_table]
    shown = [*head.split()[2:], *hidden.split(", ")] if rest else head.split()[2:]
    assert shown == [key for key in known if any(row.metrics[key] is not None for row in rows)]
    assert bool(rest) == (width < 300)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{top}/absent"], "absent: there is no such folder"),
        (["{top}/empty"], "empty: holds no run"),
        ([""], "a folder has no name"),
        (["{top}/sweep/naive", "--joint", "{top}/empty"], "empty: holds no run"),
    ],
)
def test_what_is_no_run_is_one_line(words, reason, runs, capsys):
    (runs / "empty").mkdir(exist_ok=True)

    assert main(["metrics", *(word.format(top=runs) for word in words)]) == 2

    error = capsys.readouterr().err
    assert reason in error
    assert len(error.splitlines()) == 1


def test_no_torch_is_imported(runs):
    program = (
        "import sys; from clrun.cli.main import main; "
        f"main(['metrics', {str(runs / 'sweep' / 'naive')!r}]); sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
