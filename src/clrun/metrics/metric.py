"""What a metric is, and the measurements of a run that it is a function of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from clrun.metrics.anytime import Evaluation


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Everything a run measured. NaN (or None) marks an accuracy that was not measured."""

    accuracy: ArrayLike
    """R[i, j]: test accuracy on experience j after training on experience i, both from 0"""
    class_accuracy: ArrayLike
    """[i, c]: test accuracy on class c after training on experience i"""
    initial: ArrayLike | None
    """[j]: accuracy of the untrained model on experience j; None where it was not evaluated"""
    test_rows: ArrayLike | None
    """[j]: test rows of experience j; None where they are not known"""
    evaluations: Sequence[Evaluation]
    """every evaluation of a trained model in order of time, those after an experience included, all
    on the same rows: those of `eval.subset` where that is given, else all test rows"""
    iterations: Sequence[int] | None = None
    """[t]: updates before evaluation t"""
    ends: Sequence[bool] | None = None
    """[t]: evaluation t is of the end of its experience"""
    experience_classes: Sequence[Sequence[int]] | None = None
    """[i]: the classes of experience i; None where they are not known"""
    confusion: ArrayLike | None = None
    """[entries, 3]: true class, predicted class, test rows, after the last experience"""
    ece: float | None = None
    """expected calibration error of that evaluation"""
    nll: float | None = None
    """negative log-likelihood of that evaluation"""
    joint: ArrayLike | None = None
    """accuracy matrix of a joint (or cumulative) run of the same stream"""
    naive: ArrayLike | None = None
    """accuracy matrix of a naive run of the same stream"""
    task_aware: Measurements | None = None
    """the same of the same predictions, each row held against the outputs of its experience alone;
    None where the run was not scored with task ids"""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that a run reports, and all that anything needs to know to show it."""

    key: str
    """its name in results.json"""
    label: str
    """its name for a person"""
    meaning: str
    """its definition in a few words"""
    better: Literal["higher", "lower"]
    """the direction in which a run is better"""
    function: Callable[[Measurements], float]
    """raises Undefined, with the reason, where the definition does not cover the measurements"""
    formula: str = ""
    """its definition in symbols; R, A and the rest are those of docs/reference/metrics.md"""
    source: str = ""
    """the paper that the definition is from; "clrun" where it is ours"""
    is_signed: bool = False
    """shown with its sign, because 0 is what nothing changed to"""
    in_end_table: bool = True
    """False: in results.json alone"""
    stands_in_for: str | None = None
    """the end of a run shows it only where the metric with this key is undefined, above that one"""
    of_accuracies: bool = True
    """False: of confusions or probabilities, which there are of all outputs alone"""
    twin_of: str | None = None
    """the metric whose twin with task ids this is (`metrics.task_aware`)"""
