"""Continual-learning metrics: pure functions of measured accuracies, without torch."""

from clrun.metrics.accuracy import acc_final, acc_pooled, aia, learning_accuracy
from clrun.metrics.anytime import Evaluation, aaa, min_acc, wc_acc
from clrun.metrics.headline import headline
from clrun.metrics.transfer import bwt, forgetting_first, forgetting_max, fwt
from clrun.metrics.undefined import Undefined

__all__ = [
    "Evaluation",
    "Undefined",
    "aaa",
    "acc_final",
    "acc_pooled",
    "aia",
    "bwt",
    "forgetting_first",
    "forgetting_max",
    "fwt",
    "headline",
    "learning_accuracy",
    "min_acc",
    "wc_acc",
]
