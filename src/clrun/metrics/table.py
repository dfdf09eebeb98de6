"""The one table of metrics: what results.json holds and the end of a run shows.

An installed package adds metrics without a change here: an entry point of the group
`clrun.metrics` names a `Metric` in one of its modules.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from numpy.typing import ArrayLike

from clrun.errors import ConfigError
from clrun.metrics.accuracy import acc_final, acc_pooled, aia, learning_accuracy
from clrun.metrics.anytime import Evaluation, aaa, min_acc, wc_acc
from clrun.metrics.confusion import acc_classes, old_as_new, recency_bias
from clrun.metrics.continual import (
    Gap,
    gap_recovery,
    gaps,
    stability_gap,
    windowed_forgetting,
    windowed_plasticity,
)
from clrun.metrics.matrix import square_matrix
from clrun.metrics.metric import Measurements, Metric
from clrun.metrics.reference import intransigence, relative_forgetting
from clrun.metrics.task_aware import twin
from clrun.metrics.transfer import bwt, forgetting_first, forgetting_max, fwt
from clrun.metrics.undefined import Undefined

ENTRY_POINT = "clrun.metrics"
"""The group of entry points by which installed packages add metrics."""

LOPEZ_PAZ = "Lopez-Paz & Ranzato 2017, arXiv 1706.08840"
CHAUDHRY = "Chaudhry et al. 2018, arXiv 1801.10112"
DE_LANGE = "De Lange et al. 2023, arXiv 2205.13452"

WINDOWS = (10, 100)
"""Evaluations in a window of forgetting and plasticity, as De Lange et al. report them."""

log = logging.getLogger("clrun")


def _average_anytime_accuracy(measured: Measurements) -> float:
    square_matrix(measured.accuracy)  # joint training never was at "experiences so far"
    return aaa(measured.evaluations)


def _inside(measured: Measurements) -> Sequence[Evaluation]:
    """All evaluations, of a run that was evaluated inside experiences: at their ends alone nothing
    is seen of what happens in between, and a worst case would be none."""
    square_matrix(measured.accuracy)
    if measured.ends is None or all(measured.ends):
        raise Undefined(
            "needs evaluations inside experiences: use an eval.every_steps below their updates"
        )
    return measured.evaluations


def _gaps(measured: Measurements) -> list[Gap]:
    evaluations = _inside(measured)
    if measured.ends is None or measured.iterations is None:
        raise Undefined("it is not known when the evaluations were")
    return gaps(evaluations, measured.ends, measured.iterations)


def _of_last_evaluation(value: float | None) -> float:
    if value is None:
        raise Undefined("the evaluation after the last experience has none")
    return value


def _of_newest(
    measured: Measurements, function: Callable[[ArrayLike, Sequence[int]], float]
) -> float:
    """A function of the confusion in the end and of the classes of the last experience."""
    square_matrix(measured.accuracy)  # joint training has no newest classes
    if measured.confusion is None:
        raise Undefined("the confusion after the last experience was not measured")
    if not measured.experience_classes:
        raise Undefined("the classes of the last experience are not known")
    return function(measured.confusion, measured.experience_classes[-1])


def _forgetting(window: int) -> Metric:
    return Metric(
        key=f"wf{window}",
        label=f"windowed forgetting ({window})",
        meaning=f"mean largest drop inside {window} evaluations",
        better="lower",
        formula=f"1/T sum_j max_{{m<=n<m+{window}}} (A(E_j, f_m) - A(E_j, f_n))",
        source=DE_LANGE,
        function=lambda m: windowed_forgetting(_inside(m), window),
        in_end_table=False,
    )


def _plasticity(window: int) -> Metric:
    return Metric(
        key=f"wp{window}",
        label=f"windowed plasticity ({window})",
        meaning=f"mean largest rise inside {window} evaluations",
        better="higher",
        formula=f"1/T sum_j max_{{m<=n<m+{window}}} (A(E_j, f_n) - A(E_j, f_m))",
        source=DE_LANGE,
        function=lambda m: windowed_plasticity(_inside(m), window),
        in_end_table=False,
    )


METRICS = (
    Metric(
        key="acc_final",
        label="final accuracy",
        meaning="mean over experiences after the last one",
        better="higher",
        formula="1/T sum_j R[T, j]",
        source=LOPEZ_PAZ,
        function=lambda m: acc_final(m.accuracy),
    ),
    Metric(
        key="aia",
        label="average incremental accuracy",
        meaning="mean over the stream of the mean so far",
        better="higher",
        formula="1/T sum_k 1/k sum_{j<=k} R[k, j]",
        source="Rebuffi et al. 2017, arXiv 1611.07725",
        function=lambda m: aia(m.accuracy),
    ),
    Metric(
        key="aaa",
        label="average anytime accuracy",
        meaning="mean over all evaluations of the mean so far",
        better="higher",
        formula="1/n sum_t 1/k(t) sum_{j<=k(t)} A(E_j, f_t)",
        source="Soutif-Cormerais et al. 2023, arXiv 2308.10328",
        function=_average_anytime_accuracy,
        in_end_table=False,  # equals the one above unless strategy.eval_every asks for more
    ),
    Metric(
        key="bwt",
        label="backward transfer",
        meaning="mean change since each was learnt",
        better="higher",
        formula="1/(T-1) sum_{j<T} (R[T, j] - R[j, j])",
        source=LOPEZ_PAZ,
        function=lambda m: bwt(m.accuracy),
        is_signed=True,
    ),
    Metric(
        key="fwt",
        label="forward transfer",
        meaning="mean gain before each, over the untrained",
        better="higher",
        formula="1/(T-1) sum_{j>1} (R[j-1, j] - b[j])",
        source=LOPEZ_PAZ,
        function=lambda m: fwt(m.accuracy, m.initial),
        is_signed=True,
    ),
    Metric(
        key="forgetting_max",
        label="forgetting",
        meaning="mean drop from each experience's best",
        better="lower",
        formula="1/(T-1) sum_{j<T} (max_{l<T} R[l, j] - R[T, j])",
        source=CHAUDHRY,
        function=lambda m: forgetting_max(m.accuracy),
    ),
    Metric(
        key="forgetting_first",
        label="forgetting since learnt",
        meaning="mean drop since each was learnt",
        better="lower",
        formula="1/(T-1) sum_{j<T} (R[j, j] - R[T, j])",
        source="Avalanche, arXiv 2104.00405",
        function=lambda m: forgetting_first(m.accuracy),
        in_end_table=False,  # backward transfer with the other sign
    ),
    Metric(
        key="learning_accuracy",
        label="learning accuracy",
        meaning="mean right after each was learnt",
        better="higher",
        formula="1/T sum_j R[j, j]",
        source="Riemer et al. 2019, arXiv 1810.11910",
        function=lambda m: learning_accuracy(m.accuracy),
    ),
    Metric(
        key="acc_pooled",
        label="pooled accuracy",
        meaning="share of all test images, after the last experience",
        better="higher",
        formula="sum_j n_j R[T, j] / sum_j n_j",
        source="clrun",
        function=lambda m: acc_pooled(m.accuracy, m.test_rows),
        stands_in_for="acc_final",  # experiences without test images, as in CORe50's NICv2
    ),
    Metric(
        key="acc_classes",
        label="mean class accuracy",
        meaning="mean over classes after the last experience",
        better="higher",
        formula="1/C sum_c a_c",
        source="Brodersen et al. 2010, doi 10.1109/ICPR.2010.764",
        function=lambda m: acc_classes(m.class_accuracy),
        in_end_table=False,
    ),
    Metric(
        key="intransigence",
        label="intransigence",
        meaning="mean lead of a joint run over learning it in turn",
        better="lower",
        formula="1/T sum_k (a*_k - R[k, k])",
        source=CHAUDHRY,
        function=lambda m: intransigence(m.accuracy, m.joint),
        is_signed=True,
        in_end_table=False,
    ),
    Metric(
        key="relative_forgetting",
        label="relative forgetting",
        meaning="forgetting as a share of a naive run's",
        better="lower",
        formula="F(R) / F(naive)",
        source="clrun",
        function=lambda m: relative_forgetting(m.accuracy, m.naive),
        in_end_table=False,
    ),
    Metric(
        key="ece",
        label="expected calibration error",
        meaning="gap between confidence and accuracy, in the end",
        better="lower",
        formula="sum_b n_b/N |acc_b - conf_b|, 15 equal bins",
        source="Guo et al. 2017, arXiv 1706.04599",
        function=lambda m: _of_last_evaluation(m.ece),
        of_accuracies=False,
        in_end_table=False,
    ),
    Metric(
        key="nll",
        label="negative log-likelihood",
        meaning="mean surprise at the true class in the end, in nats",
        better="lower",
        formula="-1/N sum_i ln p(y_i | x_i)",
        source="Guo et al. 2017, arXiv 1706.04599",
        function=lambda m: _of_last_evaluation(m.nll),
        of_accuracies=False,
        in_end_table=False,
    ),
    Metric(
        key="recency_bias",
        label="recency bias",
        meaning="predictions of the newest classes beyond their share",
        better="lower",
        formula="(sum_i M[i, new] - sum_j M[new, j]) / N",
        source="after Wu et al. 2019, arXiv 1905.13260",
        function=lambda m: _of_newest(m, recency_bias),
        of_accuracies=False,
        is_signed=True,
        in_end_table=False,
    ),
    Metric(
        key="old_as_new",
        label="old classes taken for new",
        meaning="share of rows of other classes that are called a newest class",
        better="lower",
        formula="sum_{i not new} M[i, new] / sum_{i not new, j} M[i, j]",
        source="after Wu et al. 2019, arXiv 1905.13260",
        function=lambda m: _of_newest(m, old_as_new),
        of_accuracies=False,
        in_end_table=False,
    ),
    Metric(
        key="min_acc",
        label="minimum accuracy",
        meaning="mean of each experience's worst since it was learnt",
        better="higher",
        formula="1/(T-1) sum_{j<T} min_{n>|T_j|} A(E_j, f_n)",
        source=DE_LANGE,
        function=lambda m: min_acc(_inside(m)),
        in_end_table=False,
    ),
    Metric(
        key="wc_acc",
        label="worst-case accuracy",
        meaning="the newest now and the others at their worst",
        better="higher",
        formula="1/T A(E_T, f) + (1 - 1/T) min-ACC",
        source=DE_LANGE,
        function=lambda m: wc_acc(_inside(m)),
        in_end_table=False,
    ),
    *(windowed(w) for windowed in (_forgetting, _plasticity) for w in WINDOWS),
    Metric(
        key="stability_gap",
        label="stability gap",
        meaning="mean drop of earlier experiences while one is learnt",
        better="lower",
        formula="mean_k mean_{j<k} (A(E_j, f_{|T_{k-1}|}) - min_{n in T_k} A(E_j, f_n))",
        source=DE_LANGE,
        function=lambda m: stability_gap(_gaps(m)),
        is_signed=True,
        in_end_table=False,
    ),
    Metric(
        key="gap_recovery",
        label="recovery from the gap",
        meaning="mean updates until earlier experiences are back",
        better="lower",
        formula="mean_k mean_{j<k} (first n after the lowest with A(E_j, f_n) >= goal)",
        source="after De Lange et al. 2023, arXiv 2205.13452",
        function=lambda m: gap_recovery(_gaps(m)),
        in_end_table=False,
    ),
)
"""clrun's own metrics, in the order of results.json and of the end table."""


@cache
def all_metrics() -> Mapping[str, Metric]:
    """key -> metric: ours first, then those of installed packages by name, then the twins with task
    ids of those that are of accuracies.

    Raises:
        ConfigError: an entry point names no `Metric`, or its key belongs to another metric.
    """
    found = {metric.key: metric for metric in METRICS}
    for entry in sorted(entry_points(group=ENTRY_POINT), key=lambda e: (e.name, e.value)):
        metric = _loaded(entry)
        if metric.key in found:
            raise ConfigError(
                f"{_named(entry)}: a metric is called {metric.key} already. Choose another key."
            )
        found[metric.key] = metric
    twins = [twin(metric) for metric in found.values() if metric.of_accuracies]
    return found | {metric.key: metric for metric in twins}


def plain_metrics() -> Mapping[str, Metric]:
    """Those of every run: `all_metrics` without the twins.

    Raises:
        ConfigError: as `all_metrics`.
    """
    return {key: metric for key, metric in all_metrics().items() if metric.twin_of is None}


def computed(
    measured: Measurements, metrics: Mapping[str, Metric] | None = None
) -> tuple[dict[str, float | None], dict[str, str]]:
    """(key -> value or None, key -> reason for None) of these metrics, or of all there are; twins
    are left out of a run that was not scored with task ids.

    A metric that fails gets its error as the reason: it must not cost a run its other results.
    """
    values: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for key, metric in (all_metrics() if metrics is None else metrics).items():
        if metric.twin_of is not None and measured.task_aware is None:
            continue
        try:
            values[key] = _finite(metric.function(measured))
        except Undefined as undefined:
            values[key], notes[key] = None, str(undefined)
        except Exception as error:
            log.exception("metric %s failed", key)
            values[key], notes[key] = None, f"failed: {type(error).__name__}: {error}"
    return values, notes


def _finite(value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise Undefined(f"its value is {number}")
    return number


def _loaded(entry: EntryPoint) -> Metric:
    try:
        metric = entry.load()
    except Exception as error:
        raise ConfigError(f"{_named(entry)}: {type(error).__name__}: {error}.") from error
    if not isinstance(metric, Metric):
        raise ConfigError(f"{_named(entry)}: is no clrun.metrics.Metric.")
    return metric


def _named(entry: EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist is not None else ""
    return f"entry point {ENTRY_POINT}: {entry.name} = {entry.value}{package}"
