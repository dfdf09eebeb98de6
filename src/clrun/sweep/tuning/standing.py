"""How a study stands: what its trials have found, and of which rows that is. No torch, no Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.console.trials_table import TrialLine
from clrun.sweep.manifest import read_manifest
from clrun.sweep.tuning.record import Score, Study, as_good, best, read_study, read_trials, scores


@dataclass(frozen=True)
class Standing:
    """A study at one moment."""

    study: Study
    found: Sequence[Score]
    """of every trial that was asked for"""

    @property
    def over(self) -> list[Score]:
        """Those of trials to which nothing is left to do."""
        return [score for score in self.found if score.is_over]

    @property
    def is_over(self) -> bool:
        """Whether all trials are."""
        return len(self.over) >= self.study.trials

    def trials(self) -> list[TrialLine]:
        """The trials that are over, as they are shown."""
        return [trial_line(self.study, score) for score in self.over]

    def lines(self) -> list[str]:
        """How far it is, which rows its numbers are of, and the best trial."""
        done = f"study: {len(self.over)} of {self.study.trials} trials are over"
        return [f"{done}; every accuracy is of {rows(self.study)}.", *self.best_lines()]

    def best_lines(self) -> list[str]:
        """The best trial, and those that are as good; none where no trial has a score."""
        chosen = best(self.study, self.over)
        if chosen is None:
            return []
        so_far = "" if self.is_over else " so far"
        values = " ".join(f"{key}={value}" for key, value in chosen.trial.values.items())
        lines = [
            f"best of {len(self.over)}{so_far}: trial {chosen.trial.number}, {values}: "
            f"{self.study.metric} {chosen.value:.4f} on {rows(self.study)}."
        ]
        if others := as_good(self.over, chosen):
            numbers = ", ".join(str(score.trial.number) for score in others)
            trials = "trial" if len(others) == 1 else "trials"
            lines.append(f"as good by these rows, but later, and so not taken: {trials} {numbers}.")
        return lines

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        chosen = best(self.study, self.over)
        return {
            "metric": self.study.metric,
            "rows": "validation",
            "experiences": self.study.experiences,
            "trials": self.study.trials,
            "over": len(self.over),
            "best": None
            if chosen is None
            else {
                "trial": chosen.trial.number,
                "values": dict(chosen.trial.values),
                "value": chosen.value,
            },
        }


def standing(path: Path) -> Standing:
    """How the study in a folder stands now; nothing is written.

    Raises:
        ConfigError: a file of it is damaged.
    """
    study = read_study(path)
    return Standing(study, scores(path, study, read_trials(path), read_manifest(path)))


def trial_line(study: Study, score: Score) -> TrialLine:
    """A trial as it is shown."""
    trial = score.trial
    is_usual = study.usual is not None and dict(trial.values) == dict(study.usual)
    return TrialLine(trial.number, trial.values, score.value, score.reason, is_usual)


def rows(study: Study) -> str:
    """What trials are scored on."""
    return f"the validation rows of the first {study.experiences} experiences"
