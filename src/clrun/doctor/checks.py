"""All checks of a run, in the order in which a person should read what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from clrun.doctor import ending, recall, training
from clrun.doctor.evidence import Evidence
from clrun.doctor.finding import Finding

Check = Callable[[Evidence], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "end of the run": ending.ended,
    "updates left out": ending.skipped,
    "diverging loss": training.diverged,
    "nothing learnt": training.at_chance,
    "statistics of the images": training.other_statistics,
    "statistics of the weights": training.other_weights,
    "learnt but not recalled": training.not_recalled,
    "final accuracy": recall.at_chance_in_the_end,
    "classes never recalled": recall.never_recalled,
    "forgetting": recall.all_forgotten,
    "penalty": training.penalty_zero,
    "bounds of BatchReNorm": training.renormalisation_idle,
    "drift of BatchReNorm": training.renormalisation_drift,
    "balance of the memory": recall.uneven_memory,
    "cost of evaluation": recall.dear_evaluation,
    "number of test rows": recall.few_test_rows,
}
"""name -> function"""


class Checked(NamedTuple):
    """What a check found."""

    check: str
    findings: list[Finding]


def checked(run: Evidence) -> list[Checked]:
    """Every check with what it found; one that cannot read the records says so."""
    return [Checked(name, _found(check, run)) for name, check in CHECKS.items()]


def _found(check: Check, run: Evidence) -> list[Finding]:
    try:
        return list(check(run))
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"
        return [Finding(f"The records cannot be read for this: {reason}.", "Run it again.")]
