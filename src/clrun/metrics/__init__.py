"""Continual-learning metrics: pure functions of measured accuracies, without torch."""

from clrun.metrics.accuracy import acc_final, acc_pooled, aia, learning_accuracy
from clrun.metrics.anytime import Evaluation, aaa, min_acc, wc_acc
from clrun.metrics.matrix import matrix_of_rows
from clrun.metrics.metric import Measurements, Metric
from clrun.metrics.table import METRICS, all_metrics, computed
from clrun.metrics.transfer import bwt, forgetting_first, forgetting_max, fwt
from clrun.metrics.undefined import Undefined

__all__ = [
    "METRICS",
    "Evaluation",
    "Measurements",
    "Metric",
    "Undefined",
    "aaa",
    "acc_final",
    "acc_pooled",
    "aia",
    "all_metrics",
    "bwt",
    "computed",
    "forgetting_first",
    "forgetting_max",
    "fwt",
    "learning_accuracy",
    "matrix_of_rows",
    "min_acc",
    "wc_acc",
]
