"""What is taken for what, and how sure the model is of it: functions of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrun.metrics.matrix import Floats
from clrun.metrics.undefined import Undefined

Counts = NDArray[np.int64]

BINS = 15
"""Intervals of confidence between 0 and 1, as many as in Guo et al. 2017."""


def confusion_entries(true: ArrayLike, predicted: ArrayLike, classes: int) -> Counts:
    """[entries, 3]: true class, predicted class, rows; one for each pair that there is.

    In order, as metrics.jsonl has them: of 1,000 classes hardly any of a million pairs is there.
    """
    places = np.asarray(true, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    pairs, rows = np.unique(places, return_counts=True)
    return np.stack([pairs // classes, pairs % classes, rows], axis=1)


def confusion_matrix(entries: ArrayLike, classes: int) -> Counts:
    """[true class, predicted class]: rows, from entries as above. Its diagonal is what is right."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    true, predicted, rows = np.asarray(entries, dtype=np.int64).reshape(-1, 3).T
    matrix[true, predicted] = rows
    return matrix


def class_accuracy_final(class_accuracy: ArrayLike) -> Floats:
    """[c]: accuracy on each class after the whole stream; NaN for one without test rows."""
    table = np.asarray(class_accuracy, dtype=np.float64)
    if table.size == 0 or np.isnan(table[-1]).all():
        raise Undefined("no class was evaluated after the last experience")
    return table[-1]


def acc_classes(class_accuracy: ArrayLike) -> float:
    """1/C sum_c a_c: the mean of the classes' final accuracies, each class the same weight.

    Also called balanced accuracy or macro recall (Brodersen et al. 2010,
    https://doi.org/10.1109/ICPR.2010.764).
    """
    return float(np.nanmean(class_accuracy_final(class_accuracy)))


def recency_bias(entries: ArrayLike, newest: Sequence[int]) -> float:
    """Share of predictions that are of the newest classes, minus their share of the test rows.

    0 without bias, 1 - their share where nothing else is predicted, negative where they are
    avoided. What Wu et al. 2019 (https://arxiv.org/abs/1905.13260) show of confusion matrices, in a
    number of ours. `entries` are those above; `newest` are the classes of the last experience, also
    those that had come before.
    """
    true, predicted, rows = np.asarray(entries, dtype=np.int64).reshape(-1, 3).T
    if not rows.sum():
        raise Undefined("there were no test rows")
    are_new = np.isin(true, newest)
    if are_new.all():
        raise Undefined("every test row is of a class of the last experience")
    taken_for_new = np.isin(predicted, newest)
    return float((rows[taken_for_new].sum() - rows[are_new].sum()) / rows.sum())


def old_as_new(entries: ArrayLike, newest: Sequence[int]) -> float:
    """Share of the rows of all other classes that are taken for one of the newest.

    What is left of forgetting when only the newest classes are ever named; `recency_bias` sets it
    off against rows of the newest that are taken for others. Arguments as there.
    """
    true, predicted, rows = np.asarray(entries, dtype=np.int64).reshape(-1, 3).T
    are_old = ~np.isin(true, newest)
    if not rows[are_old].sum():
        raise Undefined("every test row is of a class of the last experience")
    mistaken = are_old & np.isin(predicted, newest)
    return float(rows[mistaken].sum() / rows[are_old].sum())


def ece(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: sum_b (n_b/N) |accuracy of b - mean confidence of b|.

    Guo et al. 2017 (https://arxiv.org/abs/1706.04599): `bins` bins of equal width over the
    probability of the predicted class, each open below and closed above.
    """
    sure, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not sure.size:
        raise Undefined("there were no test rows")
    if not np.isfinite(sure).all():
        raise Undefined("a probability is NaN")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(place, weights=hits - sure)).sum() / sure.size)


def nll(log_probability: ArrayLike) -> float:
    """Negative log-likelihood: -1/N sum_i ln p(y_i | x_i), in nats."""
    values = np.asarray(log_probability, dtype=np.float64)
    if not values.size:
        raise Undefined("there were no test rows")
    mean = float(-values.mean())
    if not np.isfinite(mean):
        raise Undefined("a true class has probability 0 or none at all")
    return mean + 0.0  # not -0.0
