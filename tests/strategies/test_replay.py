from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch

from clrun.errors import ConfigError
from clrun.images.transforms import Transform
from clrun.memory.herding import herding
from clrun.memory.selection import HerdingSelectionStrategy
from clrun.memory.storage_policy import ClassBalancedStoragePolicy, ReservoirStoragePolicy
from clrun.models.features import Chooser
from clrun.strategies.replay import Replay
from clrun.strategies.step import Position

REPLAY_KEYS = {
    "mem_size": 60,
    "mix": "split",
    "memory_mb_size": None,
    "balance": "experience",
    "epoch_length": "current",
    "memory_update": "experience",
}


@pytest.fixture
def replay(descent_keys, parts_of, recording):
    """A Replay whose updates are recorded, its keys and parts changed as given."""

    def make(parts=None, **changes) -> Replay:
        config = Replay.Config(**{**descent_keys, **REPLAY_KEYS, **changes})
        return Replay(config, parts_of(**{"transform": recording, **(parts or {})}))

    return make


def reservoir() -> ReservoirStoragePolicy:
    return ReservoirStoragePolicy(ReservoirStoragePolicy.Config())


def class_balanced() -> ClassBalancedStoragePolicy:
    config = ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
    return ClassBalancedStoragePolicy(config)


def learn(strategy, *experiences) -> list:
    """The steps of the last of the experiences."""
    steps = [list(strategy.learn(experience)) for experience in experiences]
    return steps[-1]


def numbers(x) -> list[int]:
    """The numbers of numbered images."""
    return (x[:, 0, 0, 0].long() * 256 + x[:, 0, 0, 1].long()).tolist()


def held(strategy) -> list[int]:
    return numbers(strategy.memory.exemplars.x)


def experiences_of(rows) -> Counter:
    return Counter(row // 1000 for row in rows)


def sizes(steps) -> list[tuple[int, int]]:
    """(new, replayed) rows of each update."""
    return [(step.patterns - step.replayed, step.replayed) for step in steps]


def test_the_first_experience_is_trained_without_a_memory(replay, numbered, recording):
    steps = learn(replay(train_epochs=2), numbered(0))

    rows = [row for minibatch in recording.minibatches for row in minibatch]
    assert sizes(steps) == [(32, 0), (32, 0), (16, 0)] * 2
    assert sorted(rows[:80]) == sorted(rows[80:]) == list(range(80))
    assert rows[:80] != rows[80:]


def test_the_memory_matters_from_the_second_experience_on(replay, numbered):
    large, small = replay(mem_size=60), replay(mem_size=1)

    first = [[float(s.loss) for s in learn(strategy, numbered(0))] for strategy in (large, small)]
    second = [[float(s.loss) for s in learn(strategy, numbered(1))] for strategy in (large, small)]

    assert first[0] == first[1]
    assert second[0] != second[1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(16, 16)] * 5),
        ({"balance": "none"}, [(16, 16)] * 5),
        ({"balance": "class"}, [(16, 16)] * 5),
        ({"memory_mb_size": 12}, [(20, 12)] * 4),
        ({"mix": "add"}, [(32, 32), (32, 32), (16, 32)]),
        ({"mix": "add", "memory_mb_size": 5}, [(32, 5), (32, 5), (16, 5)]),
        ({"train_mb_size": 160, "memory_mb_size": 80}, [(80, 80)]),
    ],
)
def test_a_minibatch_holds_new_and_replayed_rows_as_configured(
    changes, expected, replay, numbered, recording
):
    strategy = replay(**changes)
    learn(strategy, numbered(0))
    in_memory = set(held(strategy))
    recording.minibatches.clear()

    steps = learn(strategy, numbered(1))

    assert sizes(steps) == expected
    for step, rows in zip(steps, recording.minibatches, strict=True):
        old = [row for row in rows if row < 1000]
        assert (len(rows), len(old)) == (step.patterns, step.replayed)
        assert set(old) <= in_memory


def test_every_new_row_is_trained_on_once_an_epoch_beside_the_memory(replay, numbered, recording):
    strategy = replay(train_epochs=2)
    learn(strategy, numbered(0))
    recording.minibatches.clear()

    learn(strategy, numbered(1))

    new = Counter(row for rows in recording.minibatches for row in rows if row >= 1000)
    assert new == {1000 + row: 2 for row in range(80)}


def test_all_experiences_share_a_minibatch_equally(replay, numbered, recording):
    strategy = replay(train_mb_size=30)
    learn(strategy, numbered(0), numbered(1))
    recording.minibatches.clear()

    learn(strategy, numbered(2))

    assert [experiences_of(rows) for rows in recording.minibatches] == [{0: 10, 1: 10, 2: 10}] * 8


def test_all_classes_share_a_minibatch_equally(replay, numbered, recording):
    strategy = replay({"storage_policy": class_balanced()}, train_mb_size=30, balance="class")
    first = numbered(0, rows=80, classes=[0, 1])
    second = numbered(1, rows=80, classes=[2, 3, 4])
    classes = {
        k * 1000 + i: int(c) for k, e in enumerate((first, second)) for i, c in enumerate(e.train.y)
    }
    learn(strategy, first)
    recording.minibatches.clear()

    learn(strategy, second)

    for rows in recording.minibatches:
        assert Counter(classes[row] for row in rows) == dict.fromkeys(range(5), 6)


@pytest.mark.parametrize(("epoch_length", "updates"), [("current", 2), ("longest", 5)])
def test_an_epoch_lasts_as_long_as_configured(epoch_length, updates, replay, numbered, recording):
    strategy = replay(mem_size=80, epoch_length=epoch_length)
    learn(strategy, numbered(0, rows=80))
    recording.minibatches.clear()

    learn(strategy, numbered(1, rows=20))

    old = {row for rows in recording.minibatches for row in rows if row < 1000}
    assert len(recording.minibatches) == updates
    assert (len(old) == 80) == (epoch_length == "longest")


def test_a_replayed_row_keeps_its_label(replay, numbered, reader):
    for keys in ({}, {"memory_update": "minibatch"}, {"mix": "add", "balance": "class"}):
        strategy = replay({"model": reader}, **keys)

        steps = learn(strategy, *(numbered(index) for index in range(3)))

        assert sum(step.replayed for step in steps) > 0
        assert all(int(step.correct) == step.patterns for step in steps)


def test_own_rows_are_not_replayed_before_their_experience_ends(replay, numbered, recording):
    strategy = replay(train_epochs=3)
    learn(strategy, numbered(0))
    before = held(strategy)

    for _ in strategy.learn(numbered(1)):
        assert held(strategy) == before

    assert experiences_of(held(strategy)) == {0: 30, 1: 30}


def test_stored_rows_know_their_label_and_experience(replay, numbered):
    strategy = replay()

    learn(strategy, *(numbered(index) for index in range(3)))

    rows = strategy.memory.exemplars
    assert (rows.x[:, 0, 0, 2] == rows.y).all()
    assert rows.experience.tolist() == [number // 1000 for number in numbers(rows.x)]
    assert strategy.memory_rows() == {
        "rows": 60,
        "bytes": 60 * (16 + 8 + 8 + 8),  # pixels, label, experience, key
        "per_class": {k: int((rows.y == k).sum()) for k in range(6)},
        "per_experience": {0: 20, 1: 20, 2: 20},
    }


def test_an_online_memory_is_offered_every_row_once_over_several_epochs(replay, numbered):
    strategy = replay(mem_size=1000, memory_update="minibatch", train_epochs=3)

    learn(strategy, numbered(0), numbered(1))

    assert sorted(held(strategy)) == [*range(80), *range(1000, 1080)]


def test_an_online_memory_is_offered_rows_right_after_their_first_update(
    replay, numbered, recording
):
    strategy = replay(mem_size=1000, memory_update="minibatch", train_epochs=2)
    offered = []

    for _ in strategy.learn(numbered(0)):
        offered.append(set(held(strategy)))

    first_epoch = len(offered) // 2
    trained = [set(rows) for rows in recording.minibatches[:first_epoch]]
    so_far = [set.union(*trained[: k + 1]) for k in range(first_epoch)]
    assert offered == so_far + [so_far[-1]] * first_epoch


def test_an_online_minibatch_replays_what_the_memory_holds_by_then(replay, numbered, recording):
    strategy = replay(mem_size=1000, memory_update="minibatch")

    steps = learn(strategy, numbered(0))

    assert sizes(steps) == [(16, 0)] + [(16, 16)] * 4
    for earlier, rows in pairwise(recording.minibatches):
        assert len(set(rows[:16]) & set(earlier)) == 0
        assert len(set(rows[16:])) == 16


def test_an_online_minibatch_replays_other_rows_each_time(replay, numbered, recording):
    strategy = replay(mem_size=1000, memory_update="minibatch", train_epochs=3)

    steps = learn(strategy, numbered(0))

    later = [  # the memory does not change any more
        tuple(rows[16:])
        for step, rows in zip(steps, recording.minibatches, strict=True)
        if step.epoch > 0
    ]
    assert len(set(later)) == 10


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({"mix": "add"}, (16, 32)),
        ({"mix": "add", "memory_mb_size": 5}, (16, 5)),
        ({"memory_mb_size": 8}, (8, 8)),
    ],
)
def test_an_online_minibatch_holds_as_many_rows_as_configured(changes, last, replay, numbered):
    steps = learn(replay(memory_update="minibatch", **changes), numbered(0), numbered(1))

    assert sizes(steps)[-1] == last


@pytest.mark.parametrize("balance", ["experience", "class"])
def test_an_online_minibatch_is_balanced_as_configured(balance, replay, numbered, recording):
    strategy = replay(mem_size=1000, memory_update="minibatch", balance=balance)
    learn(strategy, numbered(0, rows=160, classes=[0]), numbered(1, rows=20, classes=[1]))
    recording.minibatches.clear()

    learn(strategy, numbered(2, rows=16, classes=[2]))

    (rows,) = recording.minibatches
    assert experiences_of(rows[16:]) == {0: 8, 1: 8}


def test_a_reservoir_holds_the_same_rows_online_or_not(replay, numbered):
    by_experience = replay({"storage_policy": reservoir()}, mem_size=30)
    online = replay({"storage_policy": reservoir()}, mem_size=30, memory_update="minibatch")

    for strategy in (by_experience, online):
        learn(strategy, *(numbered(index) for index in range(3)))

    assert sorted(held(online)) == sorted(held(by_experience))


def test_herding_picks_by_the_features_of_the_model_when_the_experience_ends(replay, numbered):
    selection = HerdingSelectionStrategy(
        HerdingSelectionStrategy.Config(layer_name=None, normalize=False, model="current")
    )
    strategy = replay({"storage_policy": class_balanced(), "selection": selection}, mem_size=20)
    experience = numbered(0)

    learn(strategy, experience)

    assert held(strategy) == picked_by(strategy.learner.model, experience)


def test_herding_picks_by_the_features_of_another_network_where_there_is_one(
    replay, parts_of, numbered
):
    selection = HerdingSelectionStrategy(
        HerdingSelectionStrategy.Config(layer_name=None, normalize=False, model="initial")
    )
    initial = parts_of().model
    chooser = Chooser(initial, Transform((0.0,), (1.0,), "none"))
    parts = {
        "storage_policy": class_balanced(),
        "selection": selection,
        "chooser": chooser,
        "transform": Transform((0.9,), (0.3,), "none"),
    }
    strategy, experience = replay(parts, mem_size=20), numbered(0)

    learn(strategy, experience)

    assert held(strategy) == picked_by(initial, experience)
    assert held(strategy) != picked_by(strategy.learner.model, experience)
    strategy = replay({**parts, "chooser": Chooser(initial)}, mem_size=20)
    learn(strategy, experience)
    assert held(strategy) != picked_by(initial, experience)  # it sees what the model sees


def picked_by(model, experience) -> list[int]:
    """The ten rows of each class that herding picks by what this model's head is given."""
    picked = []
    for k in (0, 1):
        rows = (experience.train.y == k).nonzero().flatten()
        features = model.features(experience.train.x[rows].float() / 255)
        picked += rows[herding(features.detach(), 10)].tolist()
    return picked


def test_herding_and_class_balance_share_the_memory_equally_and_only_truncate(replay, numbered):
    selection = HerdingSelectionStrategy(
        HerdingSelectionStrategy.Config(layer_name="features.1", normalize=True, model="current")
    )
    strategy = replay({"storage_policy": class_balanced(), "selection": selection}, mem_size=60)
    learn(strategy, numbered(0))
    first = held(strategy)

    learn(strategy, numbered(1), numbered(2))

    assert strategy.memory_rows()["per_class"] == dict.fromkeys(range(6), 10)
    assert held(strategy)[:20] == [*first[:10], *first[30:40]]


def test_a_memory_of_one_row_can_be_replayed(replay, numbered):
    strategy = replay(mem_size=1)

    steps = learn(strategy, numbered(0), numbered(1), numbered(2))

    assert strategy.memory_rows()["rows"] == 1
    assert {step.replayed for step in steps} == {16}


def test_more_experiences_than_rows_in_a_minibatch_are_told(replay, numbered):
    strategy = replay(train_mb_size=2)
    learn(strategy, numbered(0, rows=8), numbered(1, rows=8))

    with pytest.raises(ConfigError, match=r"strategy.train_mb_size=2: fewer rows than the 3"):
        learn(strategy, numbered(2, rows=8))


def test_nothing_is_stored_twice_when_only_the_end_of_an_experience_was_missing(replay, numbered):
    strategy = replay(train_epochs=2)
    learn(strategy, numbered(0))

    steps = list(strategy.learn(numbered(1), Position(2, 0)))

    assert steps == []
    assert experiences_of(held(strategy)) == {0: 30, 1: 30}
    assert len(set(held(strategy))) == 60


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"memory_mb_size": 32}, "memory_mb_size=32: leaves no row"),
        ({"train_mb_size": 1}, "train_mb_size=1: cannot hold a new and a replayed row"),
        (
            {"memory_update": "minibatch", "epoch_length": "longest"},
            "epoch_length=longest: the memory has no length of its own",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(changes, told, replay):
    with pytest.raises(ValueError, match=told):
        replay(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_mb_size": 31},
        {"memory_mb_size": 32, "mix": "add"},
        {"train_mb_size": 1, "mix": "add"},
    ],
)
def test_keys_at_the_edge_of_what_is_allowed_train(changes, replay, numbered):
    steps = learn(replay(**changes), numbered(0), numbered(1))

    assert all(step.replayed > 0 for step in steps)
    assert sum(step.patterns - step.replayed for step in steps) == 80


def test_two_runs_of_one_seed_hold_the_same_rows_and_two_seeds_do_not(replay, numbered):
    one, again, other = replay(), replay(), replay({"seed": 1})

    for strategy in (one, again, other):
        learn(strategy, numbered(0))

    assert held(one) == held(again)
    assert set(held(one)) != set(held(other))


def test_the_memory_owns_its_rows(replay, numbered):
    strategy, experience = replay(), numbered(0)
    learn(strategy, experience)
    before = held(strategy)

    experience.train.x.zero_()

    assert held(strategy) == before
    assert torch.equal(strategy.memory.exemplars.x[:, 0, 0, 1].long(), torch.tensor(before))


@pytest.mark.parametrize("selection", ["closest_to_center", "random"])
def test_classes_that_a_ranking_drops_are_noted(trial, selection, caplog):
    words = (f"selection={selection}", "storage_policy=experience_balanced")
    small = ("strategy.mem_size=8", "strategy.train_epochs=1", "benchmark.n_experiences=2")
    strategy, stream, _ = trial("replay", *words, *small)

    for _ in strategy.learn(stream[0]):
        pass

    held = set(strategy.memory.exemplars.y.tolist())
    lost = sorted(set(stream[0].train.y.tolist()) - held)
    if selection == "random":
        assert not caplog.messages
    else:
        assert lost
        assert (
            f"no row of class {', '.join(map(str, lost))} in experience 0"
            in caplog.text.replace("classes", "class")
        )
