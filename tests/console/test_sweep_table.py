from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from clrun.console.sweep_display import SweepDisplay
from clrun.console.sweep_table import print_sweep
from clrun.records.outcome import Outcome

FOLDER = Path("outputs/sweep")


def console(width: int = 80, *, is_terminal: bool = False, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    return Console(file=file, width=width, force_terminal=is_terminal, color_system=None)


def text(shown: Console) -> str:
    buffer = shown.file.buffer  # type: ignore[attr-defined]
    return str(buffer.getvalue().decode())


def completed(accuracy: float, **values: str) -> Outcome:
    metrics = {"acc_final": accuracy, "forgetting_max": 0.1}
    return Outcome(values=values, status="completed", metrics=metrics, seconds=2.0)


OUTCOMES = [
    completed(0.5, strategy="naive", seed="0"),
    completed(0.7, strategy="naive", seed="1"),
    completed(0.9, strategy="joint", seed="0"),
    Outcome(values={"strategy": "joint", "seed": "1"}, status="failed", reason="the loss is nan."),
    Outcome(values={"strategy": "der", "seed": "0"}, status="interrupted"),
    Outcome(values={"strategy": "der", "seed": "1"}, status="not started"),
]


def test_seeds_are_folded_and_what_is_not_done_is_named() -> None:
    shown = console()

    print_sweep(shown, OUTCOMES, FOLDER, 61.0)

    lines = text(shown).splitlines()
    assert [line.split()[1:] for line in lines if line.startswith("│")] == [
        ["naive", "│", "2", "│", "0.6000", "±1.2706", "│", "0.1000", "±0.0000", "│", "2.0", "│"],
        ["joint", "│", "1", "of", "2", "│", "0.9000", "│", "0.1000", "│", "2.0", "│"],
        ["der", "│", "0", "of", "2", "│", "-", "│", "-", "│", "-", "│"],
    ]
    assert lines[-4:] == [
        "failed: strategy=joint seed=1: the loss is nan.",
        "interrupted: strategy=der seed=0",
        "not started: strategy=der seed=1",
        "6 jobs: 3 completed, 1 failed, 1 interrupted, 1 not started. 1:01. Results: outputs/sweep",
    ]


def test_a_terminal_without_the_sign_gets_another() -> None:
    shown = console(encoding="ascii")

    print_sweep(shown, OUTCOMES[:2], FOLDER, 1.0)

    assert "0.6000 +-1.2706" in text(shown)


def test_there_is_a_line_for_each_job_with_the_time_left() -> None:
    shown = console()
    display = SweepDisplay(shown, [outcome.values for outcome in OUTCOMES[:4]])

    for outcome in OUTCOMES[:4]:
        display.ended(outcome, 2.0)
        display.line(outcome, 2.0)

    assert text(shown).splitlines() == [
        "1 of 4, 0:06 left  accuracy 0.5000, 2.0 s  strategy=naive seed=0",
        "2 of 4, 0:04 left  accuracy 0.7000, 2.0 s  strategy=naive seed=1",
        "3 of 4, 0:02 left  accuracy 0.9000, 2.0 s  strategy=joint seed=0",
        "4 of 4  failed  strategy=joint seed=1: the loss is nan.",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_a_line_stays_within_the_terminal(width: int) -> None:
    shown = console(width, is_terminal=True)
    display = SweepDisplay(shown, None)
    outcome = Outcome(values={"seed": "1"}, status="failed", reason="why " * 50)

    display.ended(outcome, 2.0)
    display.line(outcome, 2.0)

    [line] = text(shown).splitlines()
    assert line.startswith("job 1  failed  seed=1: why")
    assert len(line.rstrip()) <= width
