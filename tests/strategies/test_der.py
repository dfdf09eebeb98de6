from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clrun.images.transforms import Transform
from clrun.memory.storage_policy import (
    ClassBalancedStoragePolicy,
    Order,
    ReservoirStoragePolicy,
)
from clrun.memory.table import Table
from clrun.seeds import generator
from clrun.strategies.der import DER
from clrun.strategies.naive import Naive
from clrun.streams.experience import Experience

DER_KEYS = {
    "mem_size": 30,
    "memory_mb_size": None,
    "alpha": 0.3,
    "beta": 0.7,
    "passes": "separate",
}
RESERVOIR = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
BY_CLASS = ClassBalancedStoragePolicy(
    ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
)


@pytest.fixture
def der(descent_keys, parts_of):
    """A DER with a reservoir, its keys and parts changed as given."""

    def make(parts=None, **changes) -> DER:
        config = DER.Config(**{**descent_keys, **DER_KEYS, **changes})
        return DER(config, parts_of(**{"storage_policy": RESERVOIR, **(parts or {})}))

    return make


class KeepsWhatItHas:
    """A storage policy with no place for anything new."""

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        return torch.arange(len(held))


def learn(strategy, *experiences) -> list:
    """The steps of the last of the experiences."""
    return [list(strategy.learn(experience)) for experience in experiences][-1]


def weights(strategy) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in strategy.learner.model.parameters()]


def same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


def numbers(x: Tensor) -> list[int]:
    """The numbers of numbered images."""
    return (x[:, 0, 0, 0].long() * 256 + x[:, 0, 0, 1].long()).tolist()


def logits_of(w: list[Tensor], x: Tensor) -> Tensor:
    """What the model of these tests computes for uint8 images, written out."""
    hidden = torch.tanh(x.flatten(1).float() / 255 @ w[0].T + w[1])
    return hidden @ w[2].T + w[3]


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return -(logits.log_softmax(1)[torch.arange(len(y)), y]).sum() / len(y)


def written_out(
    w: list[Tensor], experience: Experience, memory: list[dict[str, Any]], keys: dict[str, Any]
) -> list[float]:
    """DER++ on an experience where a draw is the whole memory; the loss of each update.

    Changes the weights `w` and the rows of the `memory` in place.
    """
    x, y = experience.train
    losses = []
    for epoch in range(keys["train_epochs"]):
        order = torch.randperm(len(y), generator=generator(0, "order", experience.index, epoch))
        for iteration, rows in enumerate(order.split(keys["train_mb_size"])):
            logits = logits_of(w, x[rows])
            loss = cross_entropy(logits, y[rows])
            if memory:
                past = logits_of(w, torch.stack([row["x"] for row in memory]))
                stored = torch.stack([row["z"] for row in memory])
                distance = (past - stored).square().sum() / (len(memory) * past.shape[1])
                labels = torch.stack([row["y"] for row in memory])
                loss = loss + keys["alpha"] * distance + keys["beta"] * cross_entropy(past, labels)
            gradients = torch.autograd.grad(loss, w)
            with torch.no_grad():
                for values, gradient in zip(w, gradients, strict=True):
                    values -= keys["lr"] * gradient
            rng = generator(0, "memory", experience.index, epoch, iteration)
            key = torch.rand(len(rows), generator=rng, dtype=torch.float64)
            for row, k, z in zip(rows.tolist(), key.tolist(), logits.detach(), strict=True):
                memory.append({"x": x[row], "y": y[row], "z": z, "key": k})
            memory.sort(key=lambda row: -row["key"])
            del memory[keys["mem_size"] :]
            losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(
    ("alpha", "beta"),
    [
        pytest.param(0.3, 0.0, id="DER"),
        pytest.param(0.3, 0.7, id="DER++"),
        pytest.param(0.0, 1.0, id="replay with a loss of its own"),
    ],
)
def test_updates_are_those_of_the_loop_written_out(alpha, beta, der, numbered):
    keys = {"alpha": alpha, "beta": beta, "mem_size": 20, "train_epochs": 2}
    strategy = der(**keys, memory_mb_size=20, lr=0.3)
    w = [values.requires_grad_() for values in weights(strategy)]
    memory: list[dict[str, Any]] = []

    for experience in (numbered(0), numbered(1), numbered(2)):
        ours = [float(step.loss) for step in strategy.learn(experience)]
        theirs = written_out(w, experience, memory, {**keys, "lr": 0.3, "train_mb_size": 32})

        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-4, atol=1e-5)
    held = strategy.memory.exemplars
    assert numbers(held["x"]) == numbers(torch.stack([row["x"] for row in memory]))
    stored = torch.stack([row["z"] for row in memory])
    torch.testing.assert_close(held["logits"], stored, rtol=1e-4, atol=1e-5)


def test_without_its_two_terms_it_is_naive_bit_for_bit(der, numbered, descent_keys, parts_of):
    ours = der(alpha=0.0, beta=0.0, momentum=0.9, train_epochs=2)
    naive = Naive(Naive.Config(**{**descent_keys, "momentum": 0.9, "train_epochs": 2}), parts_of())

    steps = learn(ours, numbered(0), numbered(1))
    naive_steps = learn(naive, numbered(0), numbered(1))

    assert same(weights(ours), weights(naive))
    assert [(s.patterns, s.replayed) for s in steps] == [(s.patterns, 0) for s in naive_steps]


def test_each_term_changes_what_is_learnt(der, numbered):
    found = []
    for alpha, beta in [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)]:
        strategy = der(alpha=alpha, beta=beta)
        learn(strategy, numbered(0), numbered(1))
        found.append(torch.cat([values.flatten() for values in weights(strategy)]))

    assert len({tuple(values.tolist()) for values in found}) == 4


def test_logits_are_stored_as_they_were_before_the_update(der, numbered):
    strategy, experience = der(mem_size=80, train_mb_size=80), numbered(0)
    before = weights(strategy)

    learn(strategy, experience)

    held = strategy.memory.exemplars
    assert len(held) == 80
    assert not same(before, weights(strategy))
    torch.testing.assert_close(held["logits"], logits_of(before, held.x), rtol=1e-5, atol=1e-6)


def test_logits_are_those_of_the_augmented_image_and_the_image_is_stored_as_it_is(der, numbered):
    flip = Transform((0.0,), (1.0,), "flip")
    strategy, experience = der({"transform": flip}, mem_size=80, train_mb_size=80), numbered(0)
    before = weights(strategy)

    learn(strategy, experience)

    held = strategy.memory.exemplars
    plain, flipped = logits_of(before, held.x), logits_of(before, held.x.flip(3))
    is_plain = torch.isclose(held["logits"], plain, rtol=1e-5, atol=1e-6).all(1)
    is_flipped = torch.isclose(held["logits"], flipped, rtol=1e-5, atol=1e-6).all(1)
    assert bool((is_plain | is_flipped).all())
    assert 20 < int(is_flipped.sum()) < 60
    assert sorted(numbers(held.x)) == list(range(80))


@pytest.mark.parametrize("policy", [RESERVOIR, BY_CLASS], ids=["reservoir", "class_balanced"])
def test_logits_stay_with_their_row_whatever_the_policy(policy, der, numbered, reader):
    strategy = der({"storage_policy": policy, "model": reader}, train_epochs=2)

    learn(strategy, numbered(0), numbered(1), numbered(2))

    held = strategy.memory.exemplars
    assert len(held) == 30
    assert held["logits"].argmax(1).tolist() == held.y.tolist() == held.x[:, 0, 0, 2].tolist()


def test_each_update_draws_two_minibatches_from_the_memory(der, numbered, recording):
    strategy = der({"transform": recording}, memory_mb_size=10)
    learn(strategy, numbered(0))
    recording.minibatches.clear()

    steps = learn(strategy, numbered(1))

    assert [(s.patterns - s.replayed, s.replayed) for s in steps] == [(32, 20), (32, 20), (16, 20)]
    for current, first, second in zip(*[iter(recording.minibatches)] * 3, strict=True):
        assert min(current) >= 1000
        assert len(set(first)) == len(set(second)) == 10
        assert set(first) != set(second)


def test_rows_of_the_experience_in_progress_are_replayed_at_once(der, numbered, recording):
    strategy = der({"transform": recording}, memory_mb_size=8)

    steps = learn(strategy, numbered(0))

    assert [step.replayed for step in steps] == [0, 16, 16]
    assert set(recording.minibatches[2]) <= set(recording.minibatches[0])


def test_all_rows_of_the_memory_are_drawn_equally_often(der, numbered, recording):
    strategy = der({"transform": recording}, mem_size=20, memory_mb_size=5)
    learn(strategy, numbered(0, rows=20))
    strategy.memory.policy = KeepsWhatItHas()
    recording.minibatches.clear()
    learn(strategy, numbered(2, rows=200 * 32))

    drawn = Counter(row for rows in recording.minibatches if len(rows) == 5 for row in rows)
    expected = 200 * 10 / 20
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert len(drawn) == 20
    assert chi_square < 43.8  # 19 degrees of freedom: passed by chance in 1 of 1000


def test_a_memory_smaller_than_a_draw_is_drawn_whole(der, numbered):
    steps = learn(der(mem_size=3), numbered(0), numbered(1))

    assert {step.replayed for step in steps} == {6}


def test_the_bytes_of_the_memory_count_the_logits(der, numbered):
    strategy = der()

    learn(strategy, numbered(0))

    image, class_experience_and_key, logits = 16, 3 * 8, 6 * 4
    assert strategy.memory_rows()["bytes"] == 30 * (image + class_experience_and_key + logits)


def test_the_distance_is_that_of_active_outputs(der, numbered):
    strategy = der(active="experience")
    learn(strategy, numbered(0), numbered(1))
    rows = strategy.memory.exemplars
    logits = torch.zeros(len(rows), 6, requires_grad=True)

    distance = strategy._distance(logits, rows)
    distance.backward()

    squares = [
        float(rows["logits"][i, k]) ** 2
        for i, label in enumerate(rows.y.tolist())
        for k in ([0, 1] if label < 2 else [2, 3])
    ]
    assert float(distance.detach()) == pytest.approx(sum(squares) / (2 * len(rows)), rel=1e-5)
    pulled = (logits.grad != 0).any(0).tolist()
    assert pulled == [True] * 4 + [False] * 2


class WithBatchNorm(nn.Module):
    """Numbered images through BatchNorm to six logits; remembers how many rows each pass had."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(16, momentum=0.5)
        self.head = nn.Linear(16, 6)
        self.passes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(len(x))
        return self.head(self.norm(x.flatten(1)))


def test_one_pass_for_all_rows_changes_nothing_where_rows_are_computed_one_by_one(der, numbered):
    experiences = [numbered(0), numbered(1)]
    separate, joint = der(), der(passes="joint")

    for strategy in (separate, joint):
        learn(strategy, *experiences)

    torch.testing.assert_close(weights(joint), weights(separate), rtol=1e-4, atol=1e-6)


def test_in_one_pass_rows_of_the_memory_are_normalised_with_current_ones(der, numbered):
    models = {passes: WithBatchNorm() for passes in ("separate", "joint")}
    models["joint"].load_state_dict(models["separate"].state_dict())
    for passes, model in models.items():
        learn(der({"model": model}, passes=passes, memory_mb_size=8), numbered(0))

    assert models["separate"].passes == [32, 32, 8, 8, 16, 8, 8]
    assert models["joint"].passes == [32, 48, 32]
    means = [model.norm.running_mean for model in models.values()]
    assert not torch.allclose(*means, rtol=1e-2)
