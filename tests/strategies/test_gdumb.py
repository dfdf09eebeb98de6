from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.memory.greedy_balanced import GreedyBalancedStoragePolicy
from clrun.seeds import generator
from clrun.strategies.gdumb import GDumb, in_order_of_content
from clrun.strategies.places import Place
from clrun.strategies.strategy import Ahead

KEYS = {
    "mem_size": 24,
    "clip": 10.0,
    "cutmix": 0.0,
    "cutmix_alpha": 1.0,
    "train_epochs": 4,
    "train_mb_size": 8,
    "schedule": "restarts",
    "momentum": 0.9,
    "optimizer_state": "fresh",
}
GREEDY = GreedyBalancedStoragePolicy(GreedyBalancedStoragePolicy.Config())


@pytest.fixture
def gdumb(descent_keys, parts_of):
    """A GDumb, its keys and parts changed as given."""

    def make(parts=None, **changes) -> GDumb:
        config = GDumb.Config(**{**descent_keys, **KEYS, **changes})
        return GDumb(config, parts_of(**{"storage_policy": GREEDY, **(parts or {})}))

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def state(strategy) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in strategy.learner.model.state_dict().items()}


def same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return all(torch.equal(some[name], others[name]) for name in some)


def written_out(model: nn.Module, x: Tensor, y: Tensor, keys: dict) -> list[float]:
    """The loss of each update of the training of `model` on rows in their order, in float64."""
    model = model.double()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=keys["l2"])
    schedule = CosineAnnealingWarmRestarts(optimizer, 1, T_mult=2, eta_min=0.1 / 100)
    losses = []
    for epoch in range(keys["train_epochs"]):
        if epoch > 1:
            schedule.step()
        optimizer.param_groups[0]["lr"] *= 0.1 if epoch == 0 else 1.0
        order = torch.randperm(len(y), generator=generator(0, "order", 0, epoch))
        for rows in order.split(keys["train_mb_size"]):
            optimizer.zero_grad()
            logits = model(x[rows].double() / 255)
            loss = -logits.log_softmax(1)[torch.arange(len(rows)), y[rows]].mean()
            loss.backward()
            norm = sum(p.grad.square().sum() for p in model.parameters()).sqrt()
            for p in model.parameters():
                p.grad *= min(1.0, keys["clip"] / float(norm))
            optimizer.step()
            losses.append(float(loss.detach()))
        if epoch == 0:
            optimizer.param_groups[0]["lr"] = 0.1
    return losses


def test_a_run_is_that_of_the_memory_and_a_fresh_network_written_out(gdumb, numbered):
    keys = {**KEYS, "train_epochs": 8, "clip": 0.2, "l2": 0.01}
    strategy, experiences = gdumb(**keys), [numbered(0), numbered(1), numbered(2)]
    fresh = deepcopy(strategy.learner.model)

    for index, experience in enumerate(experiences):
        ours = learn(strategy, experience)

        held = strategy.memory.exemplars
        assert held.y.unique(return_counts=True)[1].tolist() == [24 // (2 + 2 * index)] * (
            2 + 2 * index
        )
        order = sorted(range(24), key=lambda i: held.x[i].flatten().tolist())
        model = deepcopy(fresh)
        theirs = written_out(model, held.x[order], held.y[order], keys)
        assert [float(step.loss) for step in ours] == pytest.approx(theirs, rel=2e-4, abs=1e-5)
        trained = {name: value.float() for name, value in model.state_dict().items()}
        torch.testing.assert_close(state(strategy), trained, rtol=1e-4, atol=1e-5)


def pieces(experience, *sizes: int) -> list:
    """The rows of an experience as several, one after another."""
    x, y = experience.train
    parts = zip(x.split(sizes), y.split(sizes), strict=True)
    return [replace(experience, index=k, train=Patterns(a, b)) for k, (a, b) in enumerate(parts)]


@pytest.mark.parametrize("cutmix", [0.0, 0.5])
def test_the_result_depends_on_the_rows_in_memory_and_not_on_the_path(cutmix, gdumb, numbered):
    parts = {"transform": Transform((0.0,), (1.0,), "crop_flip")}
    whole = numbered(0, rows=24, classes=[0, 1, 2, 3])
    one, other, third = (gdumb(parts, cutmix=cutmix) for _ in range(3))

    learn(one, whole)
    learn(other, *pieces(whole, 4, 12, 8))
    learn(third, *pieces(whole, 24), *pieces(whole, 23, 1)[1:])

    assert [len(s.memory.exemplars) for s in (one, other, third)] == [24] * 3
    orders = [s.memory.exemplars.experience.unique().tolist() for s in (one, other)]
    assert orders == [[0], [0, 1, 2]]
    assert same(state(one), state(other))
    assert same(state(one), state(third))


def test_another_order_in_memory_gives_the_same_network(gdumb, numbered):
    whole, shuffled = numbered(0, rows=24, classes=[0, 1, 2]), torch.randperm(24)
    x, y = whole.train
    one, other = gdumb(), gdumb()

    learn(one, whole)
    learn(other, replace(whole, train=Patterns(x[shuffled], y[shuffled])))

    assert not torch.equal(one.memory.exemplars.x, other.memory.exemplars.x)
    assert same(state(one), state(other))


def test_the_seed_matters_and_other_rows_do(gdumb, numbered):
    usual, seeded, fed = gdumb(), gdumb({"seed": 1}), gdumb()

    for strategy in (usual, seeded):
        learn(strategy, numbered(0))
    learn(fed, numbered(0), numbered(0, rows=40, classes=[4, 5]))

    assert torch.equal(usual.memory.exemplars.y, seeded.memory.exemplars.y)
    assert not same(state(usual), state(seeded))
    assert not same(state(usual), state(fed))


def test_rows_of_any_kind_have_an_order_of_content(gdumb, numbered):
    strategy = gdumb()
    learn(strategy, numbered(0))
    held = strategy.memory.exemplars
    latents = replace(held, named={"x": torch.randn(24, 3).half()})

    for rows in (held, latents):
        ordered = in_order_of_content(rows)
        mixed = in_order_of_content(rows.select(torch.randperm(24)))
        assert torch.equal(ordered.x, mixed.x)
        assert sorted(ordered.key.tolist()) == sorted(rows.key.tolist())


def test_every_network_begins_with_the_first_weights_and_statistics(gdumb, numbered):
    torch.manual_seed(0)
    layers = (nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    strategy = gdumb({"model": nn.Sequential(*layers)})
    first = state(strategy)
    learn(strategy, numbered(0))
    assert not same(first, state(strategy))
    started = []
    strategy.learner.begin = lambda experience, begin=strategy.learner.begin: (
        started.append(state(strategy)),
        begin(experience),
    )

    learn(strategy, numbered(1))

    assert same(started[0], first)


def test_a_step_is_of_rows_of_the_memory(gdumb, numbered):
    steps = learn(gdumb(), numbered(0))

    assert [(s.patterns, s.replayed) for s in steps] == [(8, 8)] * 12
    assert [(s.epoch, s.iteration) for s in steps] == [(e, i) for e in range(4) for i in range(3)]


def test_cutmix_has_its_share_of_minibatches_and_weighs_both_labels(gdumb, numbered, monkeypatch):
    strategy, seen = gdumb(cutmix=0.5, train_epochs=40), []
    compute, mix = strategy.learner.loss, strategy._mixed

    def looking(inputs, place):
        seen.append([mix(inputs, place)])
        return seen[-1][0]

    def looked(logits, y):
        seen[-1].append(float(compute(logits, y).detach()))
        return compute(logits, y)

    monkeypatch.setattr(strategy, "_mixed", looking)
    monkeypatch.setattr(strategy.learner, "loss", looked)

    steps = learn(strategy, numbered(0))

    mixed = [found[0] is not None for found in seen]
    assert 40 <= sum(mixed) <= 80  # of 120: less likely than 1 in 1000 otherwise
    for step, (found, *losses) in zip(steps, seen, strict=True):
        share = 1.0 if found is None else found.share
        weights = [share, 1 - share][: len(losses)]
        expected = sum(w * loss for w, loss in zip(weights, losses, strict=True))
        assert float(step.loss) == pytest.approx(expected, rel=1e-5)


def test_cutmix_of_rows_without_places_is_refused(gdumb):
    with pytest.raises(ConfigError, match=r"^strategy.cutmix=1: rows of \[5\] have no rect.*=0"):
        gdumb(cutmix=1.0)._mixed(torch.zeros(3, 5), Place(0, 0, 0, 1))


def test_as_many_updates_are_known_beforehand_as_are_made(gdumb, numbered):
    strategy = gdumb()
    stream = [numbered(0, rows=10), numbered(1), numbered(2)]
    made = [len(learn(strategy, experience)) for experience in stream]

    ahead = Ahead(
        labels=[experience.train.y for experience in stream],
        image_shape=(1, 4, 4),
        seed=0,
        storage_policy=GREEDY,
        model=lambda: strategy.learner.model,
    )
    assert GDumb.updates(strategy.config, ahead) == made == [8, 12, 12]
