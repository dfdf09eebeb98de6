from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from clrun.console.display import Pace
from clrun.console.sweep_display import SweepDisplay
from clrun.console.sweep_table import MOST_FAILED, MOST_ROWS, best_lines, print_sweep
from clrun.records.outcome import Outcome
from clrun.records.points import best, points

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
    assert [" ".join(line.split()) for line in lines if line.startswith("│")] == [
        "│ naive │ 2 │ 0.6000 ±1.2706 │ 0.1414 │ 0.1000 ±0.0000 │ 2.0 │",
        "│ joint │ 1 of 2 │ 0.9000 │ - │ 0.1000 │ 2.0 │",
        "│ der │ 0 of 2 │ - │ - │ - │ - │",
    ]
    assert lines[-5:] == [
        "how sure: that cannot be told without two seeds of each point whose results differ",
        "failed: strategy=joint seed=1: the loss is nan.",
        "interrupted: strategy=der seed=0. To go on: clrun resume 'outputs/sweep/a b'",
        "not started: strategy=der seed=1",
        "6 jobs: 3 completed, 1 failed, 1 interrupted, 1 not started. 1:01. Results: outputs/sweep",
    ]


def test_of_very_many_points_the_best_are_shown_and_the_rest_is_counted() -> None:
    shown, count = console(120), MOST_ROWS + 7
    outcomes = [completed(n / 1000, lr=str(n)) for n in range(count)]

    print_sweep(shown, outcomes, FOLDER, 61.0)

    lines = text(shown).splitlines()
    rows = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert rows == [str(n) for n in reversed(range(7, count))]
    assert f"the best {MOST_ROWS} of {count} points; sweep.csv has all jobs" in lines
    assert f"best of {count} points: lr={count - 1}, accuracy 0.0560 (1 run)" in lines


def test_points_without_a_number_come_after_all_others() -> None:
    shown = console(120)
    failed = [Outcome(values={"lr": f"f{n}"}, status="failed", reason="no.") for n in range(9)]
    done = [completed(n / 1000, lr=str(n)) for n in range(MOST_ROWS)]

    print_sweep(shown, [*failed, *done], FOLDER, 61.0)

    rows = [line.split("│")[1].strip() for line in text(shown).splitlines() if line[:1] == "│"]
    assert rows == [str(n) for n in reversed(range(MOST_ROWS))]


def test_of_very_many_failures_the_first_are_named_and_the_rest_is_counted() -> None:
    shown, count = console(), MOST_FAILED + 3
    failed = [Outcome(values={"lr": f"f{n}"}, status="failed", reason="no.") for n in range(count)]

    print_sweep(shown, failed, FOLDER, 61.0)

    lines = text(shown).splitlines()
    assert [line for line in lines if line.startswith("failed: ")] == [
        *(f"failed: lr=f{n}: no." for n in range(MOST_FAILED)),
        "failed: 3 more; clrun status outputs/sweep --failed names all",
    ]
    assert f"{count} jobs: {count} failed. 1:01. Results: outputs/sweep" in lines


def test_one_run_of_each_point_has_no_interval_and_no_caption() -> None:
    shown = console()

    print_sweep(shown, [OUTCOMES[0], OUTCOMES[2]], FOLDER, 1.0)

    assert "interval" not in text(shown)
    assert "±" not in text(shown)
    assert " sd " not in text(shown)


def test_how_to_go_on_with_all_is_said_once() -> None:
    shown = console()

    print_sweep(shown, OUTCOMES, FOLDER, 61.0, way_on="To go on: clrun resume outputs/sweep")

    lines = text(shown).splitlines()
    assert [line for line in lines if "clrun resume" in line] == [lines[-1]]


def runs(accuracies: dict[str, list[float]]) -> list[Outcome]:
    return [
        completed(value, **{"strategy.lr": lr, "seed": str(seed)})
        for lr, values in accuracies.items()
        for seed, value in enumerate(values)
    ]


BELOW = [0.20, 0.22, 0.21, 0.20]


def test_a_best_point_far_above_all_others_is_sure() -> None:
    outcomes = runs({"1": BELOW, "2": [0.80, 0.82, 0.84, 0.81], "3": [0.1, 0.11, 0.1, 0.12]})

    assert best_lines(best(points(outcomes))) == [
        "best of 3 points: lr=2, accuracy 0.8175 (4 runs)",
        "how sure: at 95 %, it is ahead of lr=1 by 0.6100 (+0.5805 to +0.6395 over 4 shared seeds, "
        "for 2 comparisons at once)",
    ]


def test_a_best_point_with_rivals_names_them() -> None:
    near = [0.81, 0.81, 0.84, 0.79]
    outcomes = runs({"1": BELOW, "2": [0.80, 0.82, 0.84, 0.81], "3": near})

    _, how_sure = best_lines(best(points(outcomes)))

    assert how_sure.startswith(
        "how sure: not at 95 %, for the best may be lr=3; it is ahead of that by 0.0050 (-0.0"
    )


def test_a_rival_with_few_seeds_is_named_although_others_have_higher_means() -> None:
    outcomes = [
        *runs({"2": [0.80, 0.82, 0.84, 0.81], "3": [0.61, 0.63, 0.65, 0.61]}),
        completed(0.5, **{"strategy.lr": "1", "seed": "0"}),
    ]

    first, how_sure = best_lines(best(points(outcomes)))

    assert first == "best of 3 points: lr=2, accuracy 0.8175 (4 runs)"
    assert how_sure == (
        "how sure: not at 95 %, for the best may be lr=1; it cannot be compared with that"
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_leaves_out_what_a_narrow_terminal_has_no_room_for(width: int) -> None:
    shown = console(width, is_terminal=True)

    print_sweep(shown, OUTCOMES, FOLDER, 61.0)

    lines = text(shown).splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if "best of" in line)]
    assert max(map(len, table)) <= width
    assert ("seconds" in text(shown)) == (width >= 80)
    assert "0.6000 ±1.2706" in text(shown)


def test_in_a_very_narrow_terminal_values_stay_whole() -> None:
    shown = console(40, is_terminal=True)
    keys = ("strategy.rm_sz", "strategy.ewc_lambda", "strategy.lr")
    outcomes = [completed(0.5, **dict.fromkeys(keys, "1500"), seed=str(seed)) for seed in range(2)]

    print_sweep(shown, outcomes, FOLDER, 61.0)

    assert "1500  1500       1500    2   0.5000" in text(shown)
    assert "interval" not in text(shown)


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
    assert line.startswith("job 0  failed  seed=1: why")
    assert len(line.rstrip()) <= width
