from __future__ import annotations

import io

import pytest
from rich.console import Console

from clrun.console.sweep_live import Running, RunningTable

JOBS = [
    Running("rm_sz=1500 ewc_lambda=0.1 seed=3", "running", "3/5", 0.8125, 72.0),
    Running("shared beginning 0123abcd", "shared", "1/5", None, None),
    Running("rm_sz=500 ewc_lambda=0.1 seed=1", "starting", "", None, 3725.0),
]
TOTALS = ("7 of 24 done, 1 failed, 3 running, 4:05 left", "7/24, 1 failed, 4:05 left")


def shown(width: int, height: int = 20) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    console.print(RunningTable(JOBS, *TOTALS))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_wide_terminal_shows_all_of_each_job() -> None:
    lines = [line.split() for line in shown(120)]

    assert lines == [
        ["job", "state", "experience", "accuracy", "left"],
        [*("rm_sz=1500", "ewc_lambda=0.1", "seed=3"), "running", "3/5", "0.812", "1:12"],
        ["shared", "beginning", "0123abcd", "shared", "1/5", "-", "-"],
        [*("rm_sz=500", "ewc_lambda=0.1", "seed=1"), "starting", "-", "-", "1:02:05"],
        TOTALS[0].split(),
    ]


@pytest.mark.parametrize("width", [40, 47, 60, 71, 72, 80, 120])
def test_every_job_takes_one_line_of_any_terminal(width: int) -> None:
    lines = shown(width)

    assert len(lines) == 5
    assert max(len(line.rstrip()) for line in lines) <= width - len("^C")
    assert "0.812" in lines[1]
    assert "1:12" in lines[1]
    assert "starting" in lines[3]
    assert "4:05 left" in lines[-1]
    assert "1 failed" in lines[-1]


def test_a_low_terminal_counts_what_it_does_not_show() -> None:
    lines = shown(80, height=6)

    assert len(lines) == 5
    assert lines[-2].strip() == "and 1 more"
