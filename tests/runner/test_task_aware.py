"""Scores with task ids: of the same predictions, among the outputs of a row's own experience."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import clrun
from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.metrics import METRICS, all_metrics, computed
from clrun.records.measured import read_measured
from clrun.records.results_end import read_numbers
from clrun.runner.evaluation import Evaluation
from clrun.runner.packs import Feed
from clrun.runner.scored import Scored
from clrun.runner.scores import Scores
from clrun.runner.task_aware import require_not_below
from clrun.streams.experience import Benchmark, Experience, StreamShape

KEYS = {"stream": "test", "experiences": "all", "initial": True, "limit_per_experience": None}
TASK_IDS = "eval.task_ids=true"
SMALL = ("benchmark.limit_per_class=20", "strategy=naive", "log_every=1000")


class Table:
    """A strategy whose logits for an image are those of a table, by its first pixel."""

    def __init__(self, logits: list[list[float]]) -> None:
        self.logits = torch.tensor(logits)
        self.passes = 0

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return self.logits[x[:, 0, 0, 0].long()]


def stream(groups: list[tuple[int, ...]], rows: list[list[int]], num_classes: int = 4) -> Benchmark:
    """Experiences with these classes and labels of test rows, whose pixels count the rows."""
    experiences, first = [], 0
    for index, (classes, labels) in enumerate(zip(groups, rows, strict=True)):
        x = torch.arange(first, first + len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
        first += len(labels)
        test = Patterns(x, torch.tensor(labels, dtype=torch.int64))
        experiences.append(
            Experience(index=index, classes=classes, task_label=0, train=test, test=test)
        )
    return Benchmark(
        name="table",
        shape=StreamShape(
            channels=1, height=1, width=1, num_classes=num_classes, num_experiences=len(groups)
        ),
        class_names=tuple("abcdefgh"[:num_classes]),
        experiences=experiences,
        transform=Transform((0.0,), (1.0,), "none"),
    )


def evaluation(**changes: Any) -> Evaluation:
    return Evaluation(Evaluation.Config(**{**KEYS, "task_ids": True, **changes}))


TWO = stream([(0, 3), (1, 2)], [[0, 3, 3], [2, 1]])
LOGITS = [
    [1.0, 9.0, 0.0, 0.5],  # right of its own, wrong of all
    [1.0, 9.0, 0.0, 2.0],  # so too
    [8.0, 0.0, 0.0, 2.0],  # wrong of both
    [9.0, 1.0, 2.0, 9.0],  # right of its own
    [0.0, 5.0, 1.0, 1.0],  # right of both
]


@pytest.mark.parametrize("minibatch", [1, 2, 10])
@pytest.mark.parametrize("detailed", [True, False])
def test_each_row_is_held_against_the_outputs_of_its_experience(minibatch, detailed):
    strategy = Table(LOGITS)

    scores = evaluation().scores(
        strategy, TWO, seen=2, feed=Feed(minibatch=minibatch), detailed=detailed
    )

    assert scores.experiences == [0.0, 0.5]
    assert scores.task_aware.experiences == [2 / 3, 1.0]
    assert scores.task_aware.classes == [1.0, 1.0, 1.0, 0.5]
    plain = Table(LOGITS)
    other = evaluation(task_ids=False).scores(
        plain, TWO, seen=2, feed=Feed(minibatch=minibatch), detailed=detailed
    )
    assert other.task_aware is None
    assert strategy.passes == plain.passes  # the same forward passes
    assert replace(scores, task_aware=None, detail=None) == replace(other, detail=None)


def test_rows_of_later_experiences_in_a_minibatch_are_not_counted():
    scores = evaluation(experiences="seen").scores(
        Table(LOGITS), TWO, seen=1, feed=Feed(minibatch=10)
    )

    assert scores.task_aware.experiences == [2 / 3]


def test_inside_an_experience_the_curve_has_both():
    curve, aware = evaluation(every_steps=1).subset_scores(
        Table(LOGITS), TWO, seen=2, feed=Feed(minibatch=2)
    )

    assert (curve, aware) == ([0.0, 0.5], [2 / 3, 1.0])


@st.composite
def any_logits(draw: st.DrawFn) -> tuple[Benchmark, list[list[float]]]:
    """A stream of up to three experiences, and logits among which there are ties, infinities and
    NaN."""
    groups = draw(st.permutations(range(4)))
    cuts = sorted(draw(st.sets(st.integers(1, 3), max_size=2)))
    parts = [sorted(groups[a:b]) for a, b in zip([0, *cuts], [*cuts, 4], strict=True)]
    rows = [draw(st.lists(st.sampled_from(part), max_size=4)) for part in parts]
    value = st.sampled_from([0.0, 1.0, -1e9, -torch.inf, torch.inf, torch.nan])
    count = sum(map(len, rows))
    logits = draw(st.lists(st.lists(value, min_size=4, max_size=4), min_size=count, max_size=count))
    return stream([tuple(part) for part in parts], rows), logits or [[0.0] * 4]


@given(any_logits())
@settings(max_examples=25)
def test_no_accuracy_is_lower_with_task_ids_whatever_the_logits(given_logits):
    benchmark, logits = given_logits

    scores = evaluation().scores(Table(logits), benchmark, seen=9, feed=Feed(minibatch=3))

    for own, every in zip(scores.task_aware.experiences, scores.experiences, strict=True):
        assert (own is None) == (every is None)
        assert own is None or own >= every


def test_an_accuracy_that_is_lower_with_task_ids_stops_the_run():
    with pytest.raises(AssertionError, match=r"experience 1: accuracy is 0.25 with task ids"):
        require_not_below([None, 0.25], [None, 0.5])


@pytest.mark.parametrize(
    ("benchmark", "line"),
    [
        (
            stream([(0, 1, 2, 3), (0, 1, 2, 3)], [[0], [1]]),
            "eval.task_ids=true: every experience has all 4 classes, so that knowing it says "
            "nothing. Use eval.task_ids=false, or benchmark.labels=per_experience.",
        ),
        (
            stream([(0, 1), (2, 3)], [[0], [2, 1]]),
            "eval.task_ids=true: experience 1 is scored on rows of class b, which it does not "
            "learn. Use eval.task_ids=false.",
        ),
    ],
)
def test_a_stream_in_which_task_ids_say_nothing_or_wrong_is_refused(benchmark, line):
    evaluation(task_ids=False).check(benchmark)

    with pytest.raises(ConfigError) as refused:
        evaluation().check(benchmark)

    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (
            ("benchmark.scenario=online", "benchmark.rows_per_experience=10"),
            "eval.task_ids=true: with benchmark.scenario=online an experience is a minibatch",
        ),
        (
            ("benchmark.labels=within_experience",),
            "eval.task_ids=true: with benchmark.labels=within_experience all experiences share",
        ),
        (
            ("benchmark.scenario=permuted",),
            "eval.task_ids=true: with benchmark.scenario=permuted every experience has all classes",
        ),
        (
            ("benchmark.labels=within_experience", "strategy.active=experience"),
            "strategy.active=experience: classes occur in more than one experience",
        ),
    ],
)
def test_contradictions_are_refused_in_one_line_before_anything_is_read(words, begins):
    task_ids = () if "strategy.active=experience" in words else (TASK_IDS,)
    with pytest.raises(ConfigError) as refused:
        clrun.compose([*SMALL, *task_ids, *words])

    [line] = refused.value.problems
    assert line.startswith(begins)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "trained and tested without task ids"),
        ((TASK_IDS,), "tested with task ids only"),
        ((TASK_IDS, "strategy.active=experience"), "trained and tested with task ids"),
        (("strategy.active=experience",), "trained with task ids only"),
    ],
)
def test_results_say_which_of_them_it_was(words, said, finished):
    results = finished(*SMALL, *words).results

    assert results["task_ids"] == said
    assert (results["task_aware"] is None) == (TASK_IDS not in words)


def test_a_run_has_a_twin_of_each_metric_and_the_log_gives_them_again(finished):
    run = finished(*SMALL, TASK_IDS, "eval.every_steps=5", "eval.subset=20")
    twins = {key for key, metric in all_metrics().items() if metric.twin_of is not None}

    metrics, results = run.results["metrics"], run.results
    measured = read_measured(run.folder)
    again, notes = computed(measured.measurements)

    assert twins == {f"task_aware_{m.key}" for m in METRICS if m.of_accuracies}
    assert twins <= set(metrics)
    assert again == metrics
    assert notes == {key: why for key, why in results["notes"].items() if key in metrics}
    assert metrics["task_aware_acc_final"] == pytest.approx(
        sum(results["task_aware"]["accuracy_matrix"][-1]) / 5
    )
    assert metrics["task_aware_stability_gap"] is not None
    assert metrics["task_aware_fwt"] is not None
    assert metrics["task_aware_acc_final"] > metrics["acc_final"] + 0.3
    assert read_numbers(run.folder).metrics == metrics


def test_without_task_ids_nothing_is_said_of_them(finished):
    run = finished(*SMALL)

    assert not any(key.startswith("task_aware") for key in run.results["metrics"])
    assert not any("task_aware" in json.dumps(line) for line in run.lines)


def test_scoring_with_task_ids_changes_nothing_else(finished):
    plain, aware = finished(*SMALL), finished(*SMALL, TASK_IDS)

    metrics = aware.results["metrics"]
    assert {k: metrics[k] for k in plain.results["metrics"]} == plain.results["metrics"]
    assert plain.results["class_accuracy"] == aware.results["class_accuracy"]


def test_joint_training_is_scored_by_experience(finished):
    run = finished("strategy=joint", "benchmark.limit_per_class=20", TASK_IDS)

    [row] = run.results["task_aware"]["accuracy_matrix"]
    assert run.results["metrics"]["task_aware_acc_final"] == pytest.approx(sum(row) / 5)
    assert computed(read_measured(run.folder).measurements)[0] == run.results["metrics"]


def test_a_joint_run_gives_task_aware_intransigence(finished):
    own = finished(*SMALL, TASK_IDS)
    joint = finished("strategy=joint", "benchmark.limit_per_class=20", TASK_IDS)

    beside = read_measured(own.folder).beside(joint=read_measured(joint.folder), naive=None)
    metrics, _ = computed(beside.measurements)

    [best] = joint.results["task_aware"]["accuracy_matrix"]
    matrix = own.results["task_aware"]["accuracy_matrix"]
    gaps = [best[k] - matrix[k][k] for k in range(5)]
    assert metrics["task_aware_intransigence"] == pytest.approx(sum(gaps) / 5)


def test_what_was_saved_of_evaluations_is_loaded():
    aware = Scores(experiences=[0.5, 0.75], classes=[1.0, None], subset=[0.25])
    plain = Scores(experiences=[0.25, None], classes=[0.5, None], task_aware=aware)
    made, again = Scored(initial=plain), Scored()
    made.add(0, plain, 3)
    made.end_experience(evaluated=True)
    made.add_inside(1, [0.5], 4, [0.625])

    again.load_state_dict(made.state_dict())

    assert again.initial.task_aware.experiences == [0.5, 0.75]
    assert again.task_aware.ends == again.ends == [0]
    curves = [point.curve.tolist() for point in again.task_aware.points]
    assert curves == [[0.25], [0.625]]


def test_a_stream_that_says_nothing_is_refused_before_the_run_has_a_folder(tmp_path: Path):
    words = ("benchmark.n_experiences=1", "benchmark.classes_per_experience=[10]")

    with pytest.raises(ConfigError, match="every experience has all 10 classes"):
        clrun.run(clrun.compose([*SMALL, TASK_IDS, *words]), tmp_path / "run")

    assert not (tmp_path / "run").exists()
