"""The one table of metrics: what results.json holds and the end of a run shows.

An installed package adds metrics without a change here: an entry point of the group
`clrun.metrics` names a `Metric` in one of its modules.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from clrun.errors import ConfigError
from clrun.metrics.accuracy import acc_final, acc_pooled, aia, learning_accuracy
from clrun.metrics.anytime import aaa
from clrun.metrics.matrix import square_matrix
from clrun.metrics.metric import Measurements, Metric
from clrun.metrics.transfer import bwt, forgetting_first, forgetting_max, fwt
from clrun.metrics.undefined import Undefined

ENTRY_POINT = "clrun.metrics"
"""The group of entry points by which installed packages add metrics."""

log = logging.getLogger("clrun")


def _average_anytime_accuracy(measured: Measurements) -> float:
    square_matrix(measured.accuracy)  # joint training never was at "experiences so far"
    return aaa(measured.evaluations)


METRICS = (
    Metric(
        key="acc_final",
        label="final accuracy",
        meaning="mean over experiences after the last one",
        better="higher",
        function=lambda m: acc_final(m.accuracy),
    ),
    Metric(
        key="aia",
        label="average incremental accuracy",
        meaning="mean over the stream of the mean so far",
        better="higher",
        function=lambda m: aia(m.accuracy),
    ),
    Metric(
        key="aaa",
        label="average anytime accuracy",
        meaning="mean over all evaluations of the mean so far",
        better="higher",
        function=_average_anytime_accuracy,
        in_end_table=False,  # equals the one above unless strategy.eval_every asks for more
    ),
    Metric(
        key="bwt",
        label="backward transfer",
        meaning="mean change since each was learnt",
        better="higher",
        function=lambda m: bwt(m.accuracy),
        is_signed=True,
    ),
    Metric(
        key="fwt",
        label="forward transfer",
        meaning="mean gain before each, over the untrained",
        better="higher",
        function=lambda m: fwt(m.accuracy, m.initial),
        is_signed=True,
    ),
    Metric(
        key="forgetting_max",
        label="forgetting",
        meaning="mean drop from each experience's best",
        better="lower",
        function=lambda m: forgetting_max(m.accuracy),
    ),
    Metric(
        key="forgetting_first",
        label="forgetting since learnt",
        meaning="mean drop since each was learnt",
        better="lower",
        function=lambda m: forgetting_first(m.accuracy),
        in_end_table=False,  # backward transfer with the other sign
    ),
    Metric(
        key="learning_accuracy",
        label="learning accuracy",
        meaning="mean right after each was learnt",
        better="higher",
        function=lambda m: learning_accuracy(m.accuracy),
    ),
    Metric(
        key="acc_pooled",
        label="pooled accuracy",
        meaning="share of all test images, after the last experience",
        better="higher",
        function=lambda m: acc_pooled(m.accuracy, m.test_rows),
        stands_in_for="acc_final",  # experiences without test images, as in CORe50's NICv2
    ),
)
"""clrun's own metrics, in the order of results.json and of the end table."""


@cache
def all_metrics() -> Mapping[str, Metric]:
    """key -> metric: ours first, then those of installed packages by name.

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
    return found


def computed(
    measured: Measurements, metrics: Mapping[str, Metric] | None = None
) -> tuple[dict[str, float | None], dict[str, str]]:
    """(key -> value or None, key -> reason for None) of these metrics, or of all there are.

    A metric that fails gets its error as the reason: it must not cost a run its other results.
    """
    values: dict[str, float | None] = {}
    notes: dict[str, str] = {}
    for key, metric in (all_metrics() if metrics is None else metrics).items():
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
