from __future__ import annotations

from clrun.strategies.cumulative import Cumulative
from clrun.strategies.naive import Naive


def cumulative(descent_keys, parts, **changes) -> Cumulative:
    return Cumulative(Cumulative.Config(**{**descent_keys, **changes}), parts)


def test_each_experience_trains_on_all_rows_so_far(descent_keys, parts_of, numbered, recording):
    strategy = cumulative(descent_keys, parts_of(transform=recording))
    trained = []

    for index in range(3):
        recording.minibatches.clear()
        list(strategy.learn(numbered(index, rows=40)))
        trained.append(sorted(row for rows in recording.minibatches for row in rows))

    first, second, third = (list(range(k, k + 40)) for k in (0, 1000, 2000))
    assert trained == [first, first + second, first + second + third]


def test_labels_stay_with_their_rows(descent_keys, parts_of, numbered, reader):
    strategy = cumulative(descent_keys, parts_of(model=reader))
    list(strategy.learn(numbered(0)))

    steps = list(strategy.learn(numbered(1)))

    assert all(int(step.correct) == step.patterns for step in steps)


def test_the_first_experience_is_naive_training(descent_keys, parts_of, numbered):
    strategy = cumulative(descent_keys, parts_of(), train_epochs=2)
    naive = Naive(Naive.Config(**{**descent_keys, "train_epochs": 2}), parts_of())

    losses = [float(step.loss) for step in strategy.learn(numbered(0))]

    assert losses == [float(step.loss) for step in naive.learn(numbered(0))]


def test_learning_an_experience_again_does_not_double_its_rows(descent_keys, parts_of, numbered):
    strategy = cumulative(descent_keys, parts_of())
    list(strategy.learn(numbered(0)))
    next(strategy.learn(numbered(1)))

    list(strategy.learn(numbered(1)))

    assert strategy.memory_rows()["per_experience"] == {0: 80, 1: 80}


def test_every_row_seen_is_told_as_stored(descent_keys, parts_of, numbered):
    strategy = cumulative(descent_keys, parts_of())
    before = strategy.memory_rows()
    list(strategy.learn(numbered(0, rows=30, classes=[0, 1, 2])))
    list(strategy.learn(numbered(1, rows=20, classes=[2, 3])))

    held = strategy.memory_rows()

    assert before == {"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {}}
    assert held == {
        "rows": 50,
        "bytes": 50 * (16 + 8),  # 4x4 pixels and an int64 label
        "per_class": {0: 10, 1: 10, 2: 20, 3: 10},
        "per_experience": {0: 30, 1: 20},
    }
