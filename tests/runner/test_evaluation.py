from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.device.rows import DeviceRows
from clrun.device.rows import hold as hold_rows
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.runner.evaluation import Evaluation
from clrun.runner.judged import guessed
from clrun.runner.packs import Feed
from clrun.strategies.learner import Learner
from clrun.streams.experience import Benchmark, Experience, StreamShape


class Guesser:
    """A strategy that takes the first pixel of an image for its class."""

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(x[:, 0, 0, 0].long(), 6).float()


def patterns(guesses: list[int], labels: list[int]) -> Patterns:
    x = torch.tensor(guesses, dtype=torch.uint8).view(-1, 1, 1, 1)
    return Patterns(x, torch.tensor(labels, dtype=torch.int64))


def experience(index: int, test: Patterns, validation: Patterns | None = None) -> Experience:
    return Experience(
        index=index,
        classes=(2 * index, 2 * index + 1),
        task_label=0,
        train=patterns([], []),
        test=test,
        validation=validation,
    )


def benchmark(*experiences: Experience) -> Benchmark:
    return Benchmark(
        name="guesses",
        shape=StreamShape(channels=1, height=1, width=1, num_classes=6, num_experiences=3),
        class_names=tuple("abcdef"),
        experiences=experiences,
        transform=Transform((0.0,), (1.0,), "none"),
    )


THREE = benchmark(
    experience(0, patterns([0, 0, 1, 0], [0, 0, 1, 1])),
    experience(1, patterns([2, 3], [3, 3])),
    experience(2, patterns([4, 5, 0], [4, 5, 5])),
)

EMPTY = benchmark(experience(0, patterns([], [])))


def evaluation(**changes) -> Evaluation:
    usual = {
        "stream": "test",
        "experiences": "all",
        "initial": True,
        "limit_per_experience": None,
    }
    return Evaluation(Evaluation.Config(**{**usual, **changes}))


@pytest.mark.parametrize("minibatch", [1, 3, 100])
def test_accuracies_are_shares_of_the_rows_of_each_experience_and_class(minibatch):
    scores = evaluation().scores(Guesser(), THREE, seen=1, feed=Feed(minibatch=minibatch))

    assert scores.experiences == [3 / 4, 1 / 2, 2 / 3]
    assert scores.classes == [1.0, 1 / 2, None, 1 / 2, 1.0, 1 / 2]


def test_only_what_was_seen_is_scored_if_asked_for():
    scores = evaluation(experiences="seen").scores(
        Guesser(), THREE, seen=2, feed=Feed(minibatch=10)
    )

    assert scores.experiences == [3 / 4, 1 / 2]
    assert scores.classes == [1.0, 1 / 2, None, 1 / 2, None, None]


def test_an_experience_without_test_rows_has_no_accuracy():
    scores = evaluation().scores(
        Guesser(), benchmark(experience(0, patterns([], []))), seen=1, feed=Feed(minibatch=10)
    )

    assert scores.experiences == [None]
    assert scores.classes == [None] * 6


def test_validation_rows_are_scored_if_asked_for():
    held_out = patterns([0, 0], [0, 1])
    stream = benchmark(experience(0, patterns([0], [0]), held_out))

    scores = evaluation(stream="validation").scores(
        Guesser(), stream, seen=1, feed=Feed(minibatch=10)
    )

    assert scores.experiences == [0.5]


@pytest.mark.parametrize(
    ("labels", "limit", "wanted"),
    [
        pytest.param([0, 1] * 40, 40, [0] * 20 + [1] * 20, id="alternating classes"),
        pytest.param([0, 1, 2] * 9, 9, [0, 0, 0, 1, 1, 1, 2, 2, 2], id="a period of three"),
        pytest.param([0] * 90 + [1] * 9 + [2], 10, [0] * 8 + [1, 2], id="a rare class"),
        pytest.param([5, 3, 3, 3], 1, [3, 5], id="more classes than the limit"),
        pytest.param([3, 5], 3, [3, 5], id="fewer rows than the limit"),
        pytest.param([], 3, [], id="no rows"),
    ],
)
def test_a_limit_leaves_rows_of_every_class(labels, limit, wanted):
    chosen = evaluation(limit_per_experience=limit).rows(experience(0, patterns(labels, labels)))

    assert sorted(chosen.y.tolist()) == wanted


@given(labels=st.lists(st.integers(0, 4), max_size=200), limit=st.integers(1, 250))
@settings(deadline=None, max_examples=60)
def test_a_limit_takes_so_many_rows_in_their_order(labels, limit):
    number = torch.arange(len(labels)).view(-1, 1, 1, 1)
    whole = Patterns(number, torch.tensor(labels, dtype=torch.int64))

    chosen = evaluation(limit_per_experience=limit).rows(experience(0, whole))

    places = chosen.x.flatten()
    assert len(places) == min(len(labels), max(limit, len(set(labels))))
    assert torch.equal(places.unique(), places)
    assert torch.equal(whole.y[places], chosen.y)
    assert set(chosen.y.tolist()) == set(labels)


def test_a_row_is_taken_for_the_class_of_its_highest_logit():
    minibatches = patterns([0, 1, 5], [0, 2, 2]).x.split(2)

    among_all, own = guessed(Guesser(), minibatches)

    assert among_all.tolist() == own.tolist() == [0, 1, 5]


def test_an_evaluation_may_be_ended_between_two_minibatches():
    looks = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 3:
            raise KeyError("enough")

    strategy = Noting()
    with pytest.raises(KeyError, match="enough"):
        evaluation().scores(strategy, THREE, seen=1, feed=Feed(minibatch=1, look=look))

    assert looks == [0, 1, 2]
    assert strategy.given == [1, 1]  # looked for before each


@pytest.mark.parametrize(("side", "expected"), [(32, [5]), (512, [2, 2, 1])])
def test_large_images_are_scored_a_few_at_a_time(side, expected):
    given = []

    class Counting:
        def predict(self, x):
            given.append(len(x))
            return torch.zeros(len(x), 6)

    images = Patterns(torch.zeros(5, 1, side, side, dtype=torch.uint8), torch.zeros(5).long())

    evaluation().scores(
        Counting(), benchmark(experience(0, images)), seen=1, feed=Feed(minibatch=512)
    )

    assert given == expected


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_rows_are_brought_to_a_device_and_once_if_they_stay_there(place):
    fetched = []

    def hold(rows: torch.Tensor) -> DeviceRows:
        fetched.append(len(rows))
        return DeviceRows(partial(rows.index_select, 0), where, rows.split)

    where = torch.device(place)
    scored = evaluation()
    accuracies = [
        scored.scores(Guesser(), EMPTY, seen=1, feed=Feed(minibatch=2, hold=hold)).experiences
        for _ in range(2)
    ]

    assert accuracies == [[None], [None]]
    assert fetched == ([0, 0] if place == "cpu" else [0])


class Noting(Guesser):
    """Keeps how many rows it was given at once."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        self.given.append(len(x))
        return super().predict(x)


@pytest.mark.parametrize(
    ("rows", "minibatch", "expected"),
    [
        pytest.param([4, 2, 3], 100, [9], id="all in one"),
        pytest.param([4, 2, 3], 6, [6, 3], id="as many as fit"),
        pytest.param([4, 2, 3], 5, [4, 5], id="none is cut"),
        pytest.param([1, 7, 1], 3, [1, 3, 3, 1, 1], id="a large one is alone"),
        pytest.param([6, 3], 3, [3, 3, 3], id="whole minibatches"),
        pytest.param([0, 7, 0, 2, 0], 3, [3, 3, 1, 2], id="some without rows"),
    ],
)
def test_experiences_with_few_rows_share_minibatches(rows, minibatch, expected):
    strategy = Noting()
    stream = benchmark(*(experience(k, patterns([k] * n, [0] * n)) for k, n in enumerate(rows)))

    scores = evaluation().scores(strategy, stream, seen=1, feed=Feed(minibatch=minibatch))

    assert strategy.given == expected
    whole = [(1.0 if k == 0 else 0.0) if n else None for k, n in enumerate(rows)]
    assert scores.experiences == whole


@given(
    rows=st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=8),
    minibatch=st.integers(1, 12),
    seen=st.integers(1, 8),
)
@settings(deadline=None, max_examples=100)
def test_who_shares_a_minibatch_changes_no_accuracy(rows, minibatch, seen):
    seen = min(seen, len(rows))
    parts = [patterns(guesses, sorted(guesses)) for guesses in rows]
    stream = benchmark(*map(experience, range(len(parts)), parts))

    scores = evaluation(experiences="seen").scores(
        Guesser(), stream, seen=seen, feed=Feed(minibatch=minibatch)
    )

    right = [(p.x.flatten().long() == p.y).tolist() for p in parts[:seen]]
    assert scores.experiences == [sum(r) / len(r) if r else None for r in right]
    y = torch.cat([p.y for p in parts[:seen]]).tolist()
    hits = [label for p in parts[:seen] for label in p.y[p.x.flatten() == p.y].tolist()]
    assert scores.classes == [hits.count(c) / y.count(c) if c in y else None for c in range(6)]


def test_who_shares_a_minibatch_does_not_depend_on_what_was_seen():
    first, last = Noting(), Noting()
    scored = evaluation(experiences="seen")

    for strategy, seen in [(first, 1), (last, 2)]:
        scored.scores(strategy, THREE, seen=seen, feed=Feed(minibatch=6))

    assert first.given == last.given == [6]


def test_one_experience_alone_is_not_copied():
    held = []

    def hold(rows):
        held.append(rows)
        return hold_rows(rows, torch.device("cpu"))

    evaluation().scores(Guesser(), THREE, seen=1, feed=Feed(minibatch=4, hold=hold))

    assert held[0] is THREE.experiences[0].test.x


def test_one_pack_after_another_is_held():
    """All of them at once would be a copy of the test set."""
    steps = []

    class Telling(Guesser):
        def predict(self, x):
            steps.append("predict")
            return super().predict(x)

    def hold(rows):
        steps.append("hold")
        return hold_rows(rows, torch.device("cpu"))

    evaluation().scores(Telling(), THREE, seen=1, feed=Feed(minibatch=4, hold=hold))

    assert steps == ["hold", "predict"] * 3


def test_held_rows_are_scored_like_those_they_were_taken_from():
    held = evaluation().scores(
        Guesser(),
        THREE,
        seen=1,
        feed=Feed(minibatch=2, hold=partial(hold_rows, device=torch.device("cpu"))),
    )

    assert held == evaluation().scores(Guesser(), THREE, seen=1, feed=Feed(minibatch=2))


MANY = benchmark(
    experience(0, patterns([0, 1] * 20, [0] * 20 + [1] * 20)),
    experience(1, patterns([2] * 3, [2, 2, 3])),
    experience(2, patterns([], [])),
)


def test_a_subset_is_so_many_rows_of_each_experience_and_all_of_a_smaller_one():
    scored = evaluation(every_steps=1, subset=10)

    assert [len(scored.subset_rows(each).y) for each in MANY] == [10, 3, 0]
    small = MANY.experiences[1]
    assert scored.subset_rows(small) is scored.rows(small)


def test_its_keys_act_from_the_first_update_where_it_looks_inside_experiences():
    seldom, often = (
        evaluation(initial=False, every_steps=every).config.acts_from() for every in (None, 7)
    )

    assert seldom
    assert not often


def test_the_rows_of_a_subset_follow_from_the_seed_and_stay():
    number = torch.arange(40).view(-1, 1, 1, 1)
    rows = experience(0, Patterns(number, torch.zeros(40).long()))

    def chosen(seed: int, subset: int = 10) -> list[int]:
        config = Evaluation.Config(
            **{"stream": "test", "experiences": "all", "initial": True},
            **{"limit_per_experience": None, "every_steps": 1, "subset": subset},
        )
        return Evaluation(config, seed).subset_rows(rows).x.flatten().tolist()

    assert chosen(0) == chosen(0) == sorted(chosen(0))
    assert chosen(0) != chosen(1)
    assert set(chosen(0, 10)) < set(chosen(0, 20))


@pytest.mark.parametrize("minibatch", [1, 7, 100])
@pytest.mark.parametrize("subset", [1, 10, 40, None])
def test_a_full_evaluation_says_what_one_of_the_subset_would(subset, minibatch):
    scored = evaluation(every_steps=1, subset=subset)

    alone, none = scored.subset_scores(Guesser(), MANY, seen=3, feed=Feed(minibatch=minibatch))
    whole = scored.scores(Guesser(), MANY, seen=3, feed=Feed(minibatch=minibatch))

    assert alone == (whole.experiences if subset is None else whole.subset)
    assert none is None


def test_the_curve_is_of_what_was_seen_alone():
    strategy = Noting()

    found, _ = evaluation(every_steps=1, subset=2).subset_scores(
        strategy, MANY, seen=1, feed=Feed(minibatch=2)
    )

    assert len(found) == 1
    assert strategy.given == [2]


def test_a_detailed_evaluation_has_the_same_accuracies_from_as_many_forward_passes():
    usual, detailed = Noting(), Noting()

    scores = evaluation().scores(usual, THREE, seen=1, feed=Feed(minibatch=3))
    more = evaluation().scores(detailed, THREE, seen=1, feed=Feed(minibatch=3), detailed=True)

    assert detailed.given == usual.given
    assert (more.experiences, more.classes) == (scores.experiences, scores.classes)
    # e to the logit of a class that is guessed, 1 for the five others; 6 of 9 rows are right
    assert more.detail.nll == pytest.approx(math.log(math.e + 5) - 6 / 9)
    assert (scores.detail, more.detail.confusion.tolist()) == (
        None,
        [[0, 0, 2], [1, 0, 1], [1, 1, 1], [3, 2, 1], [3, 3, 1], [4, 4, 1], [5, 0, 1], [5, 5, 1]],
    )


def test_only_the_seen_rows_of_a_shared_minibatch_are_in_the_detail():
    scored = evaluation(experiences="seen")

    scores = scored.scores(Guesser(), THREE, seen=1, feed=Feed(minibatch=100), detailed=True)

    assert scores.detail.confusion.tolist() == [[0, 0, 2], [1, 0, 1], [1, 1, 1]]


def test_the_size_of_a_test_set_is_known_without_its_images():
    for limit in (None, 1, 2, 3, 100):
        scored = evaluation(limit_per_experience=limit)
        assert [scored.size(each) for each in THREE] == [len(scored.rows(each).y) for each in THREE]


# What the options make of a whole run


def places(lines) -> list[tuple]:
    return [(line["experience"], line["epoch"]) for line in lines]


UNTRAINED = (None, None)


@pytest.mark.parametrize(
    ("epochs", "eval_every", "expected"),
    [
        (2, -1, [UNTRAINED, (4, None)]),
        (2, 0, [UNTRAINED, *((e, None) for e in range(5))]),
        (2, 1, [UNTRAINED, *((e, k) for e in range(5) for k in (0, None))]),
        (2, 2, [UNTRAINED, *((e, None) for e in range(5))]),
        (4, 2, [UNTRAINED, *((e, k) for e in range(5) for k in (1, None))]),
        (5, 2, [UNTRAINED, *((e, k) for e in range(5) for k in (1, 3, None))]),
        (2, 100, [UNTRAINED, *((e, None) for e in range(5))]),
    ],
)
def test_a_run_is_evaluated_as_often_as_asked_for(epochs, eval_every, expected, finished):
    run = finished(
        "strategy=naive", f"strategy.train_epochs={epochs}", f"strategy.eval_every={eval_every}"
    )

    lines = run.of_kind("eval")
    assert places(lines) == expected
    assert all(len(x["accuracy"]) == 5 and len(x["class_accuracy"]) == 10 for x in lines)


def test_the_seconds_of_evaluations_are_counted_apart(finished):
    assert finished("strategy=naive").results["cost"]["wall_seconds"]["eval"] > 0


def test_evaluating_more_often_changes_no_result_of_training(finished):
    usual, often = (
        finished("strategy=naive").results,
        finished("strategy=naive", "strategy.eval_every=1").results,
    )

    assert often["accuracy_matrix"] == usual["accuracy_matrix"]
    assert often["metrics"]["bwt"] == usual["metrics"]["bwt"]
    assert often["metrics"]["aaa"] != usual["metrics"]["aaa"]


STEPS = ("strategy=naive", "eval.every_steps=4", "eval.subset=20")
"""Of 10 updates an experience."""


def test_a_run_is_evaluated_every_so_many_updates(finished):
    lines = finished(*STEPS).of_kind("eval")

    iterations = [line["iteration"] for line in lines if line["experience"] == 0]
    assert iterations[:-1] == list(range(4, iterations[-1], 4))  # not beside that of the end
    inside = [line for line in lines if line["epoch"] is not None]
    assert all(set(line) & {"accuracy", "class_accuracy", "confusion"} == set() for line in inside)
    assert all(len(line["curve"]) == line["experience"] + 1 for line in inside)
    assert all(line["iteration"] % 4 == 0 for line in inside)
    assert len(inside) >= 4 * 5


def test_looking_inside_experiences_changes_no_other_number(finished):
    usual, often = finished("strategy=naive").results, finished(*STEPS).results

    for key in ("accuracy_matrix", "class_accuracy", "initial_accuracy"):
        assert often[key] == usual[key]
    changed = {key for key in usual["metrics"] if often["metrics"][key] != usual["metrics"][key]}
    gained = {"min_acc", "wc_acc", "wf10", "wf100", "wp10", "wp100"}
    assert changed == gained | {"aaa", "stability_gap", "gap_recovery"}
    undefined = {name for name, value in often["metrics"].items() if value is None}
    assert undefined == {"intransigence", "relative_forgetting"}
    assert undefined <= set(often["notes"])


def test_an_epoch_that_is_evaluated_gets_no_second_evaluation(finished):
    run = finished("strategy=naive", "eval.every_steps=1", "strategy.eval_every=1")
    places = [(line["iteration"], line["epoch"]) for line in run.of_kind("eval")]

    assert len(set(places)) == len(places)
    by_epoch = [line for line in run.of_kind("eval") if line["epoch"] == 0 and "accuracy" in line]
    assert len(by_epoch) == 5
    updates = run.results["cost"]["train_steps"]
    assert sorted({i for i, _ in places}) == list(range(updates + 1))


def test_a_confusion_is_written_after_each_experience_where_there_is_room(finished, monkeypatch):
    def with_it(run):
        return [line["experience"] for line in run.of_kind("eval") if "confusion" in line]

    run = finished("strategy=naive")
    rows = [sum(e["test_rows"] for e in run.results["experiences"])]
    assert with_it(run) == [0, 1, 2, 3, 4]
    for line in run.of_kind("eval")[1:]:
        assert sum(count for _, _, count in line["confusion"]) == rows[0]
        right = sum(count for true, guess, count in line["confusion"] if true == guess)
        weighted = zip(line["accuracy"], run.results["experiences"], strict=True)
        assert right == pytest.approx(sum(a * e["test_rows"] for a, e in weighted))
    monkeypatch.setattr("clrun.runner.learning.MOST_CONFUSED", 5 * 10**2 - 1)
    assert with_it(finished("strategy=naive", "seed=1")) == [4]


def test_without_evaluations_in_between_what_needs_them_is_undefined(finished):
    run = finished("strategy.eval_every=-1", "strategy=naive")
    metrics, notes = run.results["metrics"], run.results["notes"]

    assert run.results["accuracy_matrix"][:4] == [[]] * 4
    assert run.results["class_accuracy"][:4] == [[]] * 4
    assert None not in run.results["accuracy_matrix"][4]
    defined = {name for name, value in metrics.items() if value is not None}
    of_the_end = {"acc_classes", "ece", "nll", "recency_bias", "old_as_new"}
    assert defined == {"acc_final", "acc_pooled", "aaa", *of_the_end}
    assert set(notes) & set(metrics) == set(metrics) - defined
    assert "after experience 0 was not measured" in notes["bwt"]
    assert metrics["acc_final"] == pytest.approx(sum(run.results["accuracy_matrix"][4]) / 5)


def test_scoring_only_what_was_seen_leaves_undefined_what_reads_the_rest(finished):
    everything, seen = (
        finished("strategy=naive").results,
        finished("strategy=naive", "eval=seen").results,
    )

    matrix = everything["accuracy_matrix"]
    assert seen["accuracy_matrix"] == [
        [value if j <= i else None for j, value in enumerate(row)] for i, row in enumerate(matrix)
    ]
    assert seen["initial_accuracy"] is None
    assert set(seen["notes"]) - set(everything["notes"]) == {"fwt", "forgetting_max"}
    for name in ("acc_final", "aia", "aaa", "bwt", "learning_accuracy", "acc_pooled"):
        assert seen["metrics"][name] == everything["metrics"][name]


def test_a_run_can_be_scored_on_rows_held_out_of_the_training_data(finished):
    run = finished("strategy=naive", "eval.stream=validation", "benchmark.validation_fraction=0.1")
    tested = [e["test_rows"] for e in run.results["experiences"]]

    assert {line["stream"] for line in run.of_kind("eval")} == {"validation"}
    assert all(20 <= rows <= 30 for rows in tested)
    assert sum(e["train_rows"] for e in run.results["experiences"]) + sum(tested) == 1442


def test_a_line_of_the_log_ends_with_the_last_experience_that_was_scored(finished):
    lines = finished("strategy=naive", "eval=seen").of_kind("eval")

    assert [len(line["accuracy"]) for line in lines] == [1, 2, 3, 4, 5]
    assert [len(line["class_accuracy"]) for line in lines] == [10] * 5


def test_a_limit_scores_as_many_rows_of_each_experience(finished):
    results = finished("strategy=naive", "eval.limit_per_experience=7").results

    assert [e["test_rows"] for e in results["experiences"]] == [7] * 5
    sevenths = [value * 7 for row in results["accuracy_matrix"] for value in row]
    assert sevenths == pytest.approx([round(value) for value in sevenths])


def test_the_size_of_evaluation_minibatches_changes_no_accuracy(finished, run, monkeypatch):
    predict, sizes = Learner.predict, []
    usual = finished("strategy=naive").results
    monkeypatch.setattr(
        Learner, "predict", lambda self, x: sizes.append(len(x)) or predict(self, x)
    )

    small = run("strategy=naive", "strategy.eval_mb_size=13").results

    assert max(sizes) == 13
    assert small["accuracy_matrix"] == usual["accuracy_matrix"]
    assert small["class_accuracy"] == usual["class_accuracy"]


def test_class_accuracies_agree_with_those_of_the_experiences(finished):
    results = finished().results

    for row, of_classes in zip(results["accuracy_matrix"], results["class_accuracy"], strict=True):
        for j, accuracy in enumerate(row):
            # both digits of an experience have 35 or 36 test images
            assert accuracy == pytest.approx(sum(of_classes[2 * j : 2 * j + 2]) / 2, abs=0.01)
