from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.memory.selection import HerdingSelectionStrategy, unit_length
from clrun.memory.storage_policy import ClassBalancedStoragePolicy
from clrun.strategies.icarl import ICaRL
from clrun.strategies.naive import Naive
from oracles import class_means as oracle
from oracles.herding import by_definition

KEYS = {
    "criterion": "binary_cross_entropy",
    "mem_size": 24,
    "outputs": "mean",
    "temperature": 1.0,
    "flip_means": False,
    "lr": 1.0,
}


@pytest.fixture
def icarl(descent_keys, parts_of, recording):
    """An iCaRL that herds, its keys changed as given, and rows recorded."""
    policy = ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
    herding = HerdingSelectionStrategy.Config(layer_name=None, normalize=True, model="current")

    def make(**changes) -> ICaRL:
        parts = parts_of(
            transform=recording,
            storage_policy=ClassBalancedStoragePolicy(policy),
            selection=HerdingSelectionStrategy(herding),
        )
        return ICaRL(ICaRL.Config(**{**descent_keys, **KEYS, **changes}), parts)

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def weights(strategy) -> list[Tensor]:
    return [p.detach().clone() for p in strategy.learner.model.parameters()]


def features_of(w: list[Tensor], x: Tensor) -> Tensor:
    """What the head of these tests' model is given, in float64."""
    return torch.tanh(x.flatten(1).double() / 255 @ w[0].T + w[1])


def logits_of(w: list[Tensor], x: Tensor) -> Tensor:
    return features_of(w, x) @ w[2].T + w[3]


def doubled(strategy) -> list[Tensor]:
    return [values.double() for values in weights(strategy)]


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def written_out(
    logits: Tensor, old: Tensor | None, y: list[int], old_classes: set[int], **keys
) -> Tensor:
    """The loss of a minibatch, one output after another."""
    temperature, classes = keys.get("temperature", 1), keys.get("classes", range(6))
    loss = torch.zeros((), dtype=torch.float64)
    for i, label in enumerate(y):
        for k in classes:
            target = float(k == label)
            if old is not None and k in old_classes:
                target = sigmoid(float(old[i, k]) / temperature)
            yes = torch.sigmoid(logits[i, k])
            loss = loss - target * yes.log() - (1 - target) * (1 - yes).log()
    return loss / len(y) / (6 if keys.get("outputs", "mean") == "mean" else 1)


PUBLISHED = {
    "authors": {},
    "van de Ven": {"outputs": "sum", "temperature": 2.0, "active": "seen", "lr": 0.2},
}


@pytest.mark.parametrize("keys", PUBLISHED.values(), ids=PUBLISHED)
def test_a_run_is_that_of_the_loss_written_out(keys, icarl, numbered, recording):
    strategy, experiences = icarl(**keys), [numbered(0), numbered(1), numbered(2)]
    x = {e.index * 1000 + i: e.train.x[i] for e in experiences for i in range(80)}
    y = {e.index * 1000 + i: int(e.train.y[i]) for e in experiences for i in range(80)}
    w = [values.requires_grad_() for values in doubled(strategy)]

    steps = [learn(strategy, experience) for experience in experiences]

    minibatches, old, old_classes = iter(recording.minibatches), None, set()
    for index, of_experience in enumerate(steps):
        seen = range(2 * index + 2) if keys else range(6)
        for step in of_experience:
            numbers = next(minibatches)
            rows, labels = torch.stack([x[n] for n in numbers]), [y[n] for n in numbers]
            before = None if old is None else logits_of(old, rows)
            how = {**keys, "classes": seen}
            loss = written_out(logits_of(w, rows), before, labels, old_classes, **how)
            assert float(step.loss) == pytest.approx(float(loss.detach()), rel=1e-4)
            gradients = torch.autograd.grad(loss, w)
            with torch.no_grad():
                for values, gradient in zip(w, gradients, strict=True):
                    values -= keys.get("lr", 1.0) * gradient
        old, old_classes = [values.detach().clone() for values in w], {*range(2 * index + 2)}
    for ours, expected in zip(weights(strategy), w, strict=True):
        torch.testing.assert_close(ours.double(), expected.detach(), rtol=1e-3, atol=1e-4)


def test_the_first_experience_is_plain_binary_cross_entropy(
    icarl, descent_keys, parts_of, numbered
):
    strategy = icarl(outputs="sum", lr=0.1)
    plain = Naive(Naive.Config(**{**descent_keys, "criterion": "binary_cross_entropy"}), parts_of())

    learn(strategy, numbered(0))
    learn(plain, numbered(0))

    assert all(map(torch.equal, weights(strategy), weights(plain)))


def test_each_row_and_each_exemplar_comes_once_an_epoch_among_the_others(
    icarl, numbered, recording
):
    strategy = icarl(train_epochs=2)
    learn(strategy, numbered(0))
    recording.minibatches.clear()

    steps = learn(strategy, numbered(1))

    for epoch in (recording.minibatches[:4], recording.minibatches[4:]):
        assert [len(minibatch) for minibatch in epoch] == [32, 32, 32, 8]
        seen = [number for minibatch in epoch for number in minibatch]
        assert len(set(seen)) == 80 + 24
        assert sum(number < 1000 for number in seen) == 24
    of_memory = [step.replayed for step in steps]
    assert of_memory == [sum(n < 1000 for n in m) for m in recording.minibatches]
    assert len(set(of_memory)) > 2  # a minibatch has as many exemplars as chance gives it
    for minibatch, count in zip(recording.minibatches, of_memory, strict=True):
        assert all(n < 1000 for n in minibatch[len(minibatch) - count :])


def test_the_answers_for_old_classes_pull_back_what_has_left_them(icarl, numbered):
    held, free = icarl(), icarl()
    for strategy in (held, free):
        learn(strategy, numbered(0))
    free.learner.previous = None

    learn(held, numbered(1))
    learn(free, numbered(1))

    assert not torch.equal(weights(held)[2], weights(free)[2])


def test_exemplars_are_herded_by_unit_length_features_and_cut_from_the_end(icarl, numbered):
    strategy, first = icarl(), numbered(0)

    learn(strategy, first)

    w, held = doubled(strategy), strategy.memory.exemplars
    for k in (0, 1):
        own = first.train.x[first.train.y == k]
        order = by_definition(unit_length(features_of(w, own)), 12)
        assert torch.equal(held.x[held.y == k], own[order])
    of_class = {k: held.x[held.y == k] for k in (0, 1)}
    learn(strategy, numbered(1))
    held = strategy.memory.exemplars
    assert held.y.bincount().tolist() == [6, 6, 6, 6]
    assert all(torch.equal(held.x[held.y == k], of_class[k][:6]) for k in (0, 1))


@pytest.mark.parametrize("flip", [False, True])
def test_class_means_are_those_of_the_exemplars_alone(flip, icarl, numbered):
    strategy = icarl(flip_means=flip)
    learn(strategy, numbered(0), numbered(1))

    found = strategy.class_means()

    w, held = doubled(strategy), strategy.memory.exemplars
    x = torch.cat([held.x, held.x.flip(3)]) if flip else held.x
    expected = oracle.class_means(features_of(w, x).tolist(), held.y.tolist() * (2 if flip else 1))
    assert found.seen.tolist() == [True] * 4 + [False] * 2
    for k, mean in expected.items():
        torch.testing.assert_close(found.means[k].tolist(), mean, rtol=0, atol=1e-6)
    rows = numbered(1).test.x
    nearest = [oracle.nearest(row, expected) for row in features_of(w, rows).tolist()]
    assert strategy.predict(rows).argmax(1).tolist() == nearest


def test_the_head_has_no_say_in_a_prediction(icarl, numbered):
    strategy, x = icarl(), numbered(1).test.x
    learn(strategy, numbered(0), numbered(1))
    before = strategy.predict(x)

    with torch.no_grad():
        strategy.learner.model.output.weight.normal_(generator=torch.Generator().manual_seed(1))
    strategy.outdate()

    assert torch.equal(strategy.predict(x), before)
    images = strategy.parts.transform.evaluation(x)
    assert torch.equal(strategy.trained_predictor()(images), before)


@pytest.mark.parametrize("index", [0, 1])
def test_within_an_experience_a_prediction_is_that_of_its_end(index, icarl, numbered):
    longer, shorter = icarl(train_epochs=3), icarl(train_epochs=3)
    for strategy in (longer, shorter):
        learn(strategy, *map(numbered, range(index)))
    shorter.config = replace(shorter.config, train_epochs=2)
    before = deepcopy(longer.memory.state_dict())

    for step in longer.learn(numbered(index)):
        if step.epoch == 1 and step.ends_epoch:
            within = longer.predict(numbered(index).test.x)
            assert same(longer.memory.state_dict(), before)
    learn(shorter, numbered(index))

    assert torch.equal(within, shorter.predict(numbered(index).test.x))
    assert not torch.equal(within, longer.predict(numbered(index).test.x))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_before_anything_is_learnt_no_class_is_nearer_than_another(icarl, numbered):
    assert icarl().predict(numbered(0).test.x).unique().numel() == 1


def test_what_classes_are_old_is_known_in_a_resumed_run_too(icarl, numbered):
    strategy, resumed = icarl(), icarl()
    learn(strategy, numbered(0, classes=[4, 1]), numbered(1, classes=[1, 3]))

    resumed.load_state_dict(deepcopy(strategy.state_dict()))

    assert resumed.old_classes == [1, 3, 4]
    losses = [[float(s.loss) for s in each.learn(numbered(2))] for each in (strategy, resumed)]
    assert losses[0] == losses[1]
    x = numbered(2).test.x
    assert torch.equal(strategy.predict(x), resumed.predict(x))


def test_the_numbers_that_classes_have_do_not_matter(icarl, numbered):
    one, other = icarl(), icarl()
    names = {0: 5, 1: 2, 2: 0, 3: 4, 4: 1, 5: 3}
    rows = [names[k] for k in range(6)]
    with torch.no_grad():
        head, renamed = one.learner.model.output, other.learner.model.output
        renamed.weight[rows], renamed.bias[rows] = head.weight.clone(), head.bias.clone()

    for index in range(3):
        e = numbered(index)
        y = torch.tensor([names[int(k)] for k in e.train.y])
        classes = tuple(sorted(names[k] for k in e.classes))
        learn(one, e)
        learn(other, replace(e, classes=classes, train=e.train._replace(y=y)))

    x = torch.cat([numbered(k).test.x for k in range(3)])
    torch.testing.assert_close(other.predict(x)[:, rows], one.predict(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("strategy.active=experience", r"strategy.active=experience: must be one of all, seen"),
        (
            "strategy.criterion=cross_entropy",
            r"strategy.criterion=cross_entropy: must be one of binary_cross_entropy",
        ),
        ("strategy.outputs=each", r"strategy.outputs=each: must be one of mean, sum"),
        ("strategy.temperature=0", r"strategy.temperature=0: must be above 0"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_line(word, line, trial):
    with pytest.raises(ConfigError, match=line):
        trial("icarl", word)
