"""Twins of metrics: of accuracies with task ids, where each row was held against the outputs of its
experience alone (`eval.task_ids`)."""

from __future__ import annotations

from dataclasses import replace

from clrun.metrics.metric import Measurements, Metric
from clrun.metrics.undefined import Undefined

PREFIX = "task_aware_"


def twin(metric: Metric) -> Metric:
    """The same metric of the task-aware measurements, called `task_aware_KEY`."""

    def function(measured: Measurements) -> float:
        if measured.task_aware is None:
            raise Undefined("the run was not scored with task ids: eval.task_ids=true")
        return metric.function(measured.task_aware)

    other = metric.stands_in_for
    return replace(
        metric,
        key=f"{PREFIX}{metric.key}",
        label=f"task-aware {metric.label}",
        meaning=f"{metric.meaning}; with task ids",
        formula=f"{metric.formula}, of task-aware accuracies" if metric.formula else "",
        function=function,
        stands_in_for=None if other is None else f"{PREFIX}{other}",
        twin_of=metric.key,
    )
