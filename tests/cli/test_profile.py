"""`clrun profile`, end to end."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from clrun.cli.main import main
from clrun.cli.profile_tables import print_profile
from clrun.profiling.operators import Operator

QUICK = ["strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1"]


class Done(NamedTuple):
    """What a profiled run of the command line left."""

    code: int
    seconds: float
    output: str
    folder: Path

    def of_profile(self, name: str) -> Any:
        return json.loads((self.folder / "profile" / name).read_text())


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One profiled run, made once for all tests."""
    folder, output = tmp_path_factory.mktemp("profiled") / "run", io.StringIO()
    start = time.perf_counter()
    with redirect_stdout(output):
        code = main(["profile", "--steps", "3", *QUICK, f"hydra.run.dir={folder}"])
    return Done(code, time.perf_counter() - start, output.getvalue(), folder)


def test_a_profiled_run_ends_with_its_results_and_two_more_tables(profiled: Done) -> None:
    assert profiled.code == 0
    for phrase in (
        *("after experience 5/5", "Test accuracy", "final accuracy"),
        *("phase", "start-up", "data", "train", "eval"),
        *("Slowest operators", "aten::", "traced: 3 updates of experience 4, from 5 on"),
    ):
        assert phrase in profiled.output
    assert f"Profile: {profiled.folder / 'profile'}" in profiled.output
    assert re.search(r"Time on cpu, 1 CPU thread\s", profiled.output)


def test_phases_sum_to_no_more_than_the_time_of_the_command(profiled: Done) -> None:
    summary = profiled.of_profile("summary.json")

    total = sum(phase["wall_seconds"] for phase in summary["phases"].values())
    assert total <= profiled.seconds  # the rest writes the profile
    for phase in ("start-up", "setup", "train", "eval"):
        assert summary["phases"][phase]["wall_seconds"] > 0
    assert list(summary["phases"])[:3] == ["start-up", "data", "setup"]


def test_the_trace_is_json_with_operators_in_it(profiled: Done) -> None:
    with gzip.open(profiled.folder / "profile" / "trace.json.gz") as file:
        events = json.load(file)["traceEvents"]

    assert any(event.get("name") == "aten::addmm" for event in events)


def test_the_files_of_a_profile_are_these(profiled: Done) -> None:
    folder = profiled.folder / "profile"

    assert {path.name for path in folder.iterdir()} == {
        *("operators.csv", "summary.json", "trace.json.gz")
    }
    summary = profiled.of_profile("summary.json")
    assert set(summary) == {
        *("schema", "device", "threads", "wall_seconds", "cpu_seconds"),
        *("phases", "trace"),
    }
    assert summary["trace"] == {"experience": 4, "first_update": 5, "updates": 3}
    assert {"import hydra", "import torch"} <= set(summary["phases"]["start-up"]["parts"])


def test_the_results_are_those_of_the_same_run_without_a_profile(
    profiled: Done, workplace: Path
) -> None:
    assert main([*QUICK, "hydra.run.dir=plain"]) == 0

    one, other = (
        json.loads((folder / "results.json").read_text())
        for folder in (profiled.folder, workplace / "plain")
    )
    for results in (one, other):
        for name in ("wall_seconds", "cpu_seconds", "peak_rss_bytes"):
            del results["cost"][name]
    assert one == other


def test_a_profiled_run_has_a_folder_like_any_other(workplace: Path) -> None:
    assert main(["profile", *QUICK, "seed=3"]) == 0

    latest = workplace / "outputs" / "latest"
    assert json.loads((latest / "run.json").read_text())["status"] == "completed"
    assert "seed: 3" in (latest / ".hydra" / "config.yaml").read_text()
    assert (latest / "profile" / "summary.json").is_file()


def test_the_last_of_an_online_stream_is_counted_in_the_data(workplace: Path) -> None:
    words = ["benchmark.scenario=online", "benchmark.rows_per_experience=100", "strategy=naive"]

    assert main(["profile", *words, "strategy.train_epochs=1", "--warm-up", "0"]) == 0

    summary = workplace / "outputs" / "latest" / "profile" / "summary.json"
    assert json.loads(summary.read_text())["trace"]["experience"] == 14


def test_an_experience_without_traced_updates_has_no_trace_and_says_why(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", *QUICK, "strategy.train_mb_size=1000"]) == 0

    assert "there is no trace. Use --warm-up 0" in capsys.readouterr().out
    profile = workplace / "outputs" / "latest" / "profile"
    assert [path.name for path in profile.iterdir()] == ["summary.json"]


BAD = [
    (["--stpes", "3"], "--stpes", "Did you mean '--steps'?"),
    (["--shape"], "--shape", "Did you mean '--shapes'?"),
    (["--steps", "0"], "--steps: 0", "at least 1"),
    (["--steps=many"], "--steps: many", "whole number"),
    (["--experience", "-1"], "--experience: -1", "at least 0"),
    (["--experience", "5"], "--experience=5", "4"),
    (["--experience", "1", "strategy=joint"], "--experience=1", "is 0"),
    (["--steps"], "--steps", "clrun profile --help"),
    (["-m", "seed=1,2"], "-m", "one run"),
    (["seed=1,2", "--multirun"], "--multirun", "one run"),
    (["hydra.mode=MULTIRUN"], "hydra.mode", "one run"),
    (["--cfg", "job"], "--cfg", "no such option"),
    (["--config-dir", "nowhere"], "--config-dir=nowhere", "no such folder"),
    (["strategy.mem_sizee=3"], "strategy.mem_sizee=3", "Did you mean 'mem_size'?"),
    (["strategy=repaly"], "strategy=repaly", "Did you mean 'replay'?"),
    (["strategy.lr=fast"], "strategy.lr=fast", "must be a number"),
    (["seed=[1"], "seed=[1", "cannot be read"),
]


@pytest.mark.parametrize(("words", "named", "allowed"), BAD, ids=lambda value: str(value))
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str],
    named: str,
    allowed: str,
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["profile", *words])

    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("clrun: ")
    assert named in lines[0]
    assert allowed in lines[0]
    assert not list(workplace.iterdir())


def test_a_diverging_run_exits_with_6_as_without_a_profile(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["profile", "strategy=naive", "strategy.lr=1e20", "hydra.run.dir=run"])

    assert code == 6
    assert "A smaller strategy.lr may help" in capsys.readouterr().err
    assert json.loads((workplace / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    "words", [["--help"], ["--stpes=3"], ["strategy.mem_sizee=3"], ["-m"]], ids=" ".join
)
def test_no_torch_is_imported_to_help_or_to_refuse(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom clrun.cli.main import main\n"
        f"code = main(['profile', *{words!r}])\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_terminal_of_80_columns_shows_every_number() -> None:
    spent = {"wall_seconds": 12345.678, "cpu_seconds": 23456.789}
    phase = {
        **spent,
        "share": 0.9,
        "peak_rss_bytes": 12_345_600_000,
        "peak_device_bytes": 1_345_600_000,
        "parts": {"optimizer": {"calls": 1_234_567, **spent}, "rest": {"calls": 1, **spent}},
    }
    summary = {
        **spent,
        "device": "cuda:0 (NVIDIA H100 80GB HBM3)",
        "threads": 16,
        "phases": {"start-up": phase},
        "trace": {"experience": 4, "first_update": 5, "updates": 20},
    }
    slow = Operator("aten::" + "x" * 90, 1234, 987654.3, 1234567.8, 55555.5, 66666.6, 7_000_000)
    slow.shapes = "[[128, 3, 224, 224], [64, 3, 7, 7], [], [], [], []]"
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)

    print_profile(console, summary, [slow], Path("run/profile"))

    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= 80 for line in output.splitlines())
    for number in ("12345.7", "23456.8", "90.0%", "12345.6", "1345.6", "1,234,567"):
        assert number in output
    for number in ("1,234", "987.65", "1234.57", "55.56", "7.0"):
        assert number in output
