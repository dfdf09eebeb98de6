"""Continual-learning metrics: pure functions of measured accuracies, without torch."""

from clrun.metrics.accuracy import acc_final, acc_pooled, aia, learning_accuracy
from clrun.metrics.anytime import Evaluation, aaa, min_acc, wc_acc
from clrun.metrics.confusion import (
    acc_classes,
    class_accuracy_final,
    confusion_entries,
    confusion_matrix,
    ece,
    nll,
    old_as_new,
    recency_bias,
)
from clrun.metrics.continual import (
    Gap,
    gap_recovery,
    gaps,
    stability_gap,
    windowed_forgetting,
    windowed_plasticity,
)
from clrun.metrics.equal_cost import Reached, at_equal_cost, best_within, common_budget
from clrun.metrics.matrix import matrix_of_rows
from clrun.metrics.metric import Measurements, Metric
from clrun.metrics.reference import intransigence, relative_forgetting
from clrun.metrics.table import METRICS, all_metrics, computed, plain_metrics
from clrun.metrics.task_aware import twin
from clrun.metrics.transfer import bwt, forgetting_first, forgetting_max, fwt
from clrun.metrics.undefined import Undefined

__all__ = [
    "METRICS",
    "Evaluation",
    "Gap",
    "Measurements",
    "Metric",
    "Reached",
    "Undefined",
    "aaa",
    "acc_classes",
    "acc_final",
    "acc_pooled",
    "aia",
    "all_metrics",
    "at_equal_cost",
    "best_within",
    "bwt",
    "class_accuracy_final",
    "common_budget",
    "computed",
    "confusion_entries",
    "confusion_matrix",
    "ece",
    "forgetting_first",
    "forgetting_max",
    "fwt",
    "gap_recovery",
    "gaps",
    "intransigence",
    "learning_accuracy",
    "matrix_of_rows",
    "min_acc",
    "nll",
    "old_as_new",
    "plain_metrics",
    "recency_bias",
    "relative_forgetting",
    "stability_gap",
    "twin",
    "wc_acc",
    "windowed_forgetting",
    "windowed_plasticity",
]
