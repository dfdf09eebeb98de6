from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from clrun.console.display import Pace
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
    Outcome(
        values={"strategy": "der", "seed": "0"}, status="interrupted", unfinished=FOLDER / "a b"
    ),
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
        "interrupted: strategy=der seed=0. To go on: clrun resume 'outputs/sweep/a b'",
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


VALUES = {"strategy": "replay", "strategy.lr": "0.01", "benchmark.scenario": "ni", "seed": "10"}


def test_on_a_terminal_keys_are_as_short_as_in_the_table() -> None:
    shown = console(is_terminal=True)
    display = SweepDisplay(shown, [VALUES])

    display.ended(completed(0.5, **VALUES), 2.0)
    display.line(completed(0.5, **VALUES), 2.0)

    line = "1 of 1  accuracy 0.5000, 2.0 s  strategy=replay lr=0.01 scenario=ni seed=10"
    assert text(shown).rstrip() == line


@pytest.mark.parametrize("width", [80, 140])
def test_the_line_that_moves_has_room_for_share_and_time(width: int) -> None:
    shown = console(width, is_terminal=True)
    display = SweepDisplay(shown, [VALUES] * 12)
    display.ended(completed(0.5, **VALUES), 300.0)
    job = display.job(VALUES)
    pace = Pace(
        experience=0,
        experiences=2,
        epoch=0,
        epochs=2,
        done=0.53,
        loss=1.0,
        accuracy=0.5,
        images=10,
        images_per_second=None,
        seconds_left=None,
    )

    job.title("replay-digits-s10")
    job.step(pace)
    job.close()

    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text(shown)).replace("\r", "\n")
    moving = [line for line in plain.splitlines() if "53%" in line]
    assert "2 of 12  strategy=replay lr=0.01 scenario=ni" in moving[-1]
    assert moving[-1].rstrip().endswith(" left")
    assert len(moving[-1]) <= width - len("^C")


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
