"""The metrics that every run reports, and why the undefined ones have no value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from clrun.metrics.accuracy import acc_final, acc_pooled, aia, learning_accuracy
from clrun.metrics.anytime import Evaluation, aaa
from clrun.metrics.matrix import square_matrix
from clrun.metrics.transfer import bwt, forgetting_first, forgetting_max, fwt
from clrun.metrics.undefined import Undefined


def headline(
    R: ArrayLike,
    b: ArrayLike | None,
    sizes: ArrayLike,
    evaluations: Sequence[Evaluation],
) -> tuple[dict[str, float | None], dict[str, str]]:
    """(metric -> value or None, metric -> reason for None), metrics in the order of a report.

    `b`: accuracies of the untrained model, if measured; `sizes`: patterns in each test set;
    `evaluations`: every evaluation from the first experience on, those at boundaries included.
    """

    def anytime() -> float:
        square_matrix(R)  # joint training never was at "experiences so far"
        return aaa(evaluations)

    metrics: dict[str, Callable[[], float]] = {
        "acc_final": lambda: acc_final(R),
        "aia": lambda: aia(R),
        "aaa": anytime,
        "bwt": lambda: bwt(R),
        "fwt": lambda: fwt(R, b),
        "forgetting_max": lambda: forgetting_max(R),
        "forgetting_first": lambda: forgetting_first(R),
        "learning_accuracy": lambda: learning_accuracy(R),
        "acc_pooled": lambda: acc_pooled(R, sizes),
    }
    values: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for name, metric in metrics.items():
        try:
            values[name] = metric()
        except Undefined as undefined:
            values[name], notes[name] = None, str(undefined)
    return values, notes
