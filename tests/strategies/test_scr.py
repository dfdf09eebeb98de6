from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from clrun.errors import ConfigError
from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.models.features import head
from clrun.models.macs import training_macs
from clrun.strategies.contrastive import Projection, among, supervised_contrastive
from clrun.strategies.nearest_means import NEVER
from clrun.strategies.places import Place
from clrun.strategies.scr import SCR
from oracles import class_means as means_oracle
from oracles import contrastive as oracle

KEYS = {
    "criterion": "supervised_contrastive",
    "mem_size": 20,
    "mix": "add",
    "memory_mb_size": 8,
    "balance": "none",
    "epoch_length": "current",
    "memory_update": "minibatch",
    "temperature": 0.07,
    "projection": 5,
    "view": "contrastive",
    "train_mb_size": 10,
}


@pytest.fixture
def scr(descent_keys, parts_of, recording):
    """An SCR with a reservoir, its keys changed as given, and rows recorded."""

    def make(pattern_macs: int | None = None, **changes) -> SCR:
        policy = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
        parts = parts_of(transform=recording, storage_policy=policy, pattern_macs=pattern_macs)
        return SCR(SCR.Config(**{**descent_keys, **KEYS, **changes}), parts)

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def rows(n: int, width: int = 5, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("y", [[0, 0], [0, 1, 0, 1], [3, 1, 3, 3, 2, 1, 2, 3], [0, 1, 1, 4]])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_the_loss_and_its_gradient_are_those_written_out(y, temperature):
    ours, expected = (rows(len(y)).requires_grad_() for _ in range(2))

    loss = supervised_contrastive(ours, torch.tensor(y), temperature)
    written_out = oracle.supervised_contrastive(expected, y, temperature)

    torch.testing.assert_close(loss, written_out, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, x)[0] for value, x in ((loss, ours), (written_out, expected))),
        rtol=1e-9,
        atol=1e-12,
    )


def test_rows_of_any_length_are_compared_by_their_direction():
    x, y = rows(6), torch.tensor([0, 0, 1, 1, 2, 2])

    stretched = x * torch.tensor([[0.01], [100], [1], [2], [3], [4]])

    assert float(supervised_contrastive(x, y, 0.07)) == pytest.approx(
        float(supervised_contrastive(stretched, y, 0.07))
    )


def test_a_row_lies_among_the_class_whose_others_it_is_most_like():
    x, y = rows(7), torch.tensor([0, 0, 0, 2, 2, 2, 4])
    z = x / x.norm(dim=1, keepdim=True)

    said = among(x.float(), y, 0.5, 6)

    for i in range(7):
        for k in range(6):
            others = [j for j in range(7) if j != i and int(y[j]) == k]
            if not others:
                assert said[i, k] == -1e9
                continue
            mean = sum(float((z[i] @ z[j] / 0.5).exp()) for j in others) / len(others)
            assert float(said[i, k].exp()) == pytest.approx(mean, rel=1e-5)


def inputs_of(strategy: SCR, x: Tensor, place: Place) -> Tensor:
    """Both views of rows, the second one drawn as the strategy draws it."""
    view = strategy._view
    draws = view.draw(len(x), place.generator(0, "view"))
    return torch.cat([x.float() / 255, view.training(x, draws)])


def test_an_update_is_that_of_the_loss_written_out(scr, numbered, recording):
    strategy, experience = scr(), numbered(0)
    x, y = experience.train
    w = [p.detach().double().requires_grad_() for p in strategy.learner.model.parameters()]

    def projected(images: Tensor) -> Tensor:
        features = torch.tanh(images.flatten(1).double() @ w[0].T + w[1])
        return torch.relu(features @ w[4].T + w[5]) @ w[2].T + w[3]

    updates = strategy.learn(experience)
    for iteration in range(3):
        step = next(updates)
        numbers = recording.minibatches[-1]
        images = inputs_of(strategy, x[numbers], Place(0, 0, iteration, 8))
        labels = y[numbers].tolist() * 2
        loss = oracle.supervised_contrastive(projected(images), labels, 0.07)
        assert float(step.loss) == pytest.approx(float(loss.detach()), rel=1e-4)
        assert (step.patterns, step.replayed) == (2 * len(numbers), 2 * len(numbers) - 20)
        gradients = torch.autograd.grad(loss, w)
        with torch.no_grad():
            for values, gradient in zip(w, gradients, strict=True):
                values -= 0.1 * gradient
    for ours, expected in zip(strategy.learner.model.parameters(), w, strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-3, atol=1e-5)


def test_a_minibatch_is_current_rows_and_a_draw_of_the_memory(scr, numbered, recording):
    strategy = scr()

    learn(strategy, numbered(0), numbered(1))

    views, others = recording.minibatches[::2], recording.minibatches[1::2]
    assert views == others  # of the same rows
    assert [len(rows) for rows in views] == [10, *[18] * 15]
    assert all(any(number < 1000 for number in rows) for rows in views[8:])


def test_the_second_view_is_another_one_each_time_and_the_first_is_the_image(scr, numbered):
    strategy, x = scr(), numbered(0).train.x[:1].expand(50, -1, -1, -1)

    views = [strategy._other_views(x, Place(0, 0, iteration, 8)) for iteration in (0, 1, 0)]

    assert len(views[0].unique(dim=0)) > 40
    assert not torch.equal(views[0], views[1])
    assert torch.equal(views[0], views[2])
    first = strategy.learner.inputs(x, Place(0, 0, 0, 8))
    assert torch.equal(first, strategy.parts.transform.evaluation(x))


def test_a_prediction_is_the_nearest_mean_of_features_of_stored_rows(scr, numbered):
    strategy = scr()
    learn(strategy, numbered(0), numbered(1))

    said = strategy.predict(numbered(1).test.x)

    w = [p.detach().double() for p in strategy.learner.model.parameters()]

    def features(x: Tensor) -> list[list[float]]:
        return torch.tanh(x.flatten(1).double() / 255 @ w[0].T + w[1]).tolist()

    held = strategy.memory.exemplars
    means = means_oracle.class_means(features(held.x), held.y.tolist())
    expected = [means_oracle.nearest(row, means) for row in features(numbered(1).test.x)]
    assert said.argmax(1).tolist() == expected
    for k, mean in means.items():
        torch.testing.assert_close(
            strategy.class_means().means[k].tolist(), mean, rtol=0, atol=1e-6
        )


def test_means_are_computed_anew_after_each_update(scr, numbered):
    strategy, x = scr(), numbered(0).test.x

    said = [strategy.predict(x) for _ in strategy.learn(numbered(0))]

    assert not any(torch.equal(one, then) for one, then in pairwise(said))
    again = scr()
    learn(again, numbered(0))
    assert torch.equal(said[-1], again.predict(x))


def test_a_class_without_a_stored_row_is_never_named(scr, numbered):
    strategy = scr(mem_size=3)
    learn(strategy, numbered(0), numbered(1), numbered(2))
    stored = set(strategy.memory.exemplars.y.tolist())
    assert len(stored) < 6

    said = strategy.predict(torch.cat([numbered(k).test.x for k in range(3)]))

    assert set(said.argmax(1).tolist()) <= stored
    missing = ~one_hot(torch.tensor(sorted(stored)), 6).sum(0).bool()
    assert (said[:, missing] == NEVER).all()


def test_the_projection_learns_and_is_saved_but_does_not_predict(scr, numbered):
    strategy = scr()
    before = deepcopy(strategy.learner.model.output.state_dict())

    learn(strategy, numbered(0))

    after = strategy.learner.model.output.state_dict()
    assert after.keys() == {"output.weight", "output.bias", "hidden.weight", "hidden.bias"}
    assert all(not torch.equal(after[name], before[name]) for name in after)
    assert {f"output.{name}" for name in after} <= set(strategy.state_dict()["model"])
    predictor = strategy.trained_predictor()
    assert not [name for name in predictor.state_dict() if "output" in name]
    x = numbered(0).test.x
    images = strategy.parts.transform.evaluation(x)
    assert torch.equal(predictor(images), strategy.predict(x))


def test_the_features_of_a_model_with_a_projection_are_what_that_is_given():
    projection = Projection(8, 5)

    name, layer = head(projection)

    assert name == "hidden"
    assert layer.in_features == 8


def test_the_projection_s_products_are_counted_in_the_place_of_the_head_s(scr, numbered):
    strategy = scr(pattern_macs=1000)

    steps = learn(strategy, numbered(0))

    each = 1000 - training_macs(torch.nn.Linear(8, 6), (8,)) + training_macs(Projection(8, 5), (8,))
    assert strategy.train_macs == sum(step.patterns for step in steps) * each


def test_the_numbers_that_classes_have_do_not_matter(scr, numbered):
    one, other = scr(), scr()
    names = [5, 2, 0, 4, 1, 3]

    for index in range(3):
        e = numbered(index)
        learn(one, e)
        e.train.y.copy_(torch.tensor(names)[e.train.y])
        learn(other, e)

    x = torch.cat([numbered(k).test.x for k in range(3)])
    torch.testing.assert_close(other.predict(x)[:, names], one.predict(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["strategy.view=auto"], r"strategy.view=auto: must be named. Use view=contrastive"),
        (["strategy.active=seen"], r"strategy.active=seen: must be one of all"),
        (["strategy.criterion=cross_entropy"], r"must be one of supervised_contrastive"),
        (["strategy.plugins=[{name: ewc, ewc_lambda: 1}]"], r"plugins: ewc asks .*Use mas or si"),
        (["strategy.projection=0"], r"strategy.projection=0: must be"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_line(words, line, trial):
    with pytest.raises(ConfigError, match=line):
        trial("scr", *words)
