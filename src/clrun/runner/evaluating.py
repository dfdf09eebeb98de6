"""A trained model scored on data: those of its run again, or others with the same classes."""

from __future__ import annotations

from clrun.runner.evaluation import Evaluation, Scores
from clrun.runner.loading import TrainedModel
from clrun.streams.experience import Benchmark


def scores_on(trained: TrainedModel, benchmark: Benchmark, evaluation: Evaluation) -> Scores:
    """Accuracies of the model on a benchmark whose classes have its numbers.

    On the stream of its run they are the last ones that the run reported.
    """
    with trained.device.applied(trained.update_macs):
        return evaluation.scores(
            trained.answers,
            benchmark,
            seen=len(benchmark),
            minibatch=trained.facts.eval_mb_size,
            hold=trained.device.hold,
        )
