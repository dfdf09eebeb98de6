"""A study on the screen: a line for each trial that is over, and the table at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_SHOWN = 20
"""Trials in the table; the best of more"""


class TrialLine(NamedTuple):
    """A trial as it is shown."""

    number: int
    """from 0, as in trials.jsonl"""
    values: Mapping[str, str]
    """key -> value as typed"""
    score: float | None
    """None where it failed"""
    reason: str | None
    is_usual: bool = False
    """the values that the configuration has without tuning"""

    @property
    def name(self) -> str:
        """Its values as they are typed."""
        usual = " (as configured)" if self.is_usual else ""
        return " ".join(f"{key}={value}" for key, value in self.values.items()) + usual


def trial_text(trial: TrialLine, count: str, metric: str, *, is_best: bool) -> str:
    """What is said of a trial when it is over; `count`: how many are, such as "3 of 20"."""
    result = f"failed: {trial.reason}" if trial.score is None else f"{metric} {trial.score:.4f}"
    best = " (best so far)" if is_best else ""
    return f"{count}  trial {trial.number}: {trial.name}: {result}{best}"


def print_trials(console: Console, trials: Sequence[TrialLine], metric: str, better: str) -> None:
    """The trials, the best one first, and every failure with its reason."""
    judged = [trial for trial in trials if trial.score is not None]
    judged.sort(key=lambda trial: trial.score or 0.0, reverse=better == "higher")
    if judged:
        console.print(_table(judged[:MOST_SHOWN], metric))
    if len(judged) > MOST_SHOWN:
        console.print(f"and {len(judged) - MOST_SHOWN} more, none of them better")
    for trial in trials:
        if trial.score is None:
            line = f"failed: trial {trial.number}, {trial.name}: {trial.reason}"
            console.print(Text(line, style="bold red"), soft_wrap=True)


def _table(trials: Sequence[TrialLine], metric: str) -> Table:
    table = Table()
    table.add_column("trial", justify="right", style="bold")
    for key in trials[0].values:
        table.add_column(key, justify="right")
    table.add_column(f"{metric} on validation", justify="right")
    for trial in trials:
        assert trial.score is not None, "failed ones are listed below"
        number = f"{trial.number}{'*' if trial.is_usual else ''}"
        table.add_row(number, *map(Text, trial.values.values()), f"{trial.score:.4f}")
    if any(trial.is_usual for trial in trials):
        table.caption = "*: as configured, without tuning"
    return table
