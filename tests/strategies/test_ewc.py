"""EWC against its definition, and what it does to training."""

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import clrun
from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.strategies.ewc import EWC
from clrun.strategies.naive import Naive
from oracles.importances import fisher

KINDS = ["exact", "sample", "predicted", "empirical"]

ON = "strategy.plugins=[{name: ewc, ewc_lambda: 1}]"


def ewc(ewc_lambda: float = 1.0, **changes) -> EWC:
    return EWC(EWC.Config(ewc_lambda=ewc_lambda, **changes))


@pytest.fixture
def naive(descent_keys, parts_of):
    """(plugin, keys) -> a naive strategy that carries it."""

    def make(plugin: EWC, model=None, **changes) -> Naive:
        given = {} if model is None else {"model": model}
        keys = {**descent_keys, "train_epochs": 2, **changes}
        return Naive(Naive.Config(**keys), parts_of(plugins=(plugin,), **given))

    return make


def learn(strategy, *experiences) -> list[float]:
    return [float(step.loss) for e in experiences for step in strategy.learn(e)]


def inputs(experience) -> Tensor:
    return experience.train.x.float() / 255


def assert_importance(plugin: EWC, expected: dict[str, Tensor]) -> None:
    assert plugin.held.importance.keys() == expected.keys()
    for name, values in expected.items():
        found = plugin.held.importance[name].view(values.shape).double()
        torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-6 * float(values.max()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_fisher_information_is_the_mean_of_each_rows_own(kind, naive, numbered, monkeypatch):
    plugin, rows = ewc(fisher=kind, fisher_rows=None), numbered(0, rows=40)
    strategy = naive(plugin)
    drawn = []
    multinomial = torch.multinomial
    monkeypatch.setattr(
        torch, "multinomial", lambda *a, **k: drawn.append(multinomial(*a, **k)) or drawn[-1]
    )

    learn(strategy, rows)

    labels = drawn[0].flatten().tolist() if drawn else rows.train.y.tolist()
    assert bool(drawn) == (kind == "sample")
    expected = fisher(strategy.learner.model, inputs(rows), kind, labels)
    assert expected["output.weight"].max() > 0
    assert_importance(plugin, expected)


def test_the_four_kinds_are_four(naive, numbered):
    found = []
    for kind in KINDS:
        plugin = ewc(fisher=kind)
        learn(naive(plugin), numbered(0))
        found.append(plugin.held.importance["output.weight"])

    assert all(not torch.allclose(a, b, rtol=0.01) for a, b in pairwise(found))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("active", ["seen", "experience"])
def test_probabilities_are_those_over_the_outputs_that_the_loss_knows(
    active, kind, naive, numbered
):
    plugin, rows = ewc(fisher=kind, fisher_rows=None), numbered(1, rows=30)
    strategy = naive(plugin, active=active)
    learn(strategy, numbered(0))
    first = deepcopy(plugin.held.importance)

    learn(strategy, rows)

    if kind == "sample":  # whatever was drawn, it was drawn among the active
        idle = plugin.held.importance["output.weight"].view(6, -1)[4:]
        assert idle.eq(0).all()
        return
    known = [2, 3] if active == "experience" else [0, 1, 2, 3]
    outputs = [known] * 30
    found = fisher(strategy.learner.model, inputs(rows), kind, rows.train.y.tolist(), outputs)
    expected = {name: values + first[name].view(values.shape) for name, values in found.items()}
    assert_importance(plugin, expected)


def test_the_exact_fisher_information_of_softmax_regression_has_a_closed_form(naive, numbered):
    plugin, rows = ewc(exclude=["features.*"], fisher_rows=None), numbered(0, rows=30)
    strategy = naive(plugin)

    learn(strategy, rows)

    model = strategy.learner.model.double()
    h = model.features(inputs(rows).double()).detach()
    p = model.output(h).softmax(1).detach()
    assert_importance(
        plugin,
        {
            "output.weight": (p * (1 - p)).T @ h.square() / 30,
            "output.bias": (p * (1 - p)).mean(0),
        },
    )


def test_the_sampled_fisher_information_converges_to_the_exact_one(naive, numbered):
    few = numbered(0, rows=4)
    many = Patterns(few.train.x.repeat(3000, 1, 1, 1), few.train.y.repeat(3000))
    found = {}
    for kind in ("exact", "sample", "empirical"):
        plugin = ewc(fisher=kind, fisher_rows=None)
        strategy = naive(plugin, train_epochs=1, train_mb_size=3000)
        learn(strategy, replace(few, train=many))
        found[kind] = torch.cat(list(plugin.held.importance.values()))

    apart = (found["sample"] - found["exact"]).norm() / found["exact"].norm()
    assert apart < 0.05
    assert (found["empirical"] - found["exact"]).norm() / found["exact"].norm() > 0.2


def test_rows_are_drawn_by_the_seed_and_the_experience(naive, numbered):
    rows = numbered(0, rows=60)

    def estimate(most: int | None) -> Tensor:
        plugin = ewc(fisher="empirical", fisher_rows=most)
        learn(naive(plugin), rows)
        return plugin.held.importance["output.weight"]

    assert torch.equal(estimate(10), estimate(10))
    assert not torch.equal(estimate(10), estimate(11))
    assert torch.equal(estimate(60), estimate(None))
    assert torch.equal(estimate(1000), estimate(None))


@pytest.mark.parametrize("mode", ["separate", "online"])
def test_nothing_is_added_before_the_second_experience_and_more_than_nothing_in_it(
    mode, naive, numbered
):
    plugin = ewc(10.0, mode=mode)
    strategy = naive(plugin)
    learn(strategy, numbered(0))
    assert strategy.vitals()["penalties"] == {"EWC": None}
    plugin.before_experience(strategy.learner.model, 1)
    assert plugin.penalty().item() == 0

    steps = strategy.learn(numbered(1))
    next(steps)

    assert plugin.penalty().item() > 0
    assert len(list(steps)) > 0
    assert strategy.vitals()["penalties"]["EWC"] > 0


def test_with_lambda_zero_nothing_is_ever_added(naive, numbered):
    plugin = ewc(0.0)
    strategy, free = naive(plugin), naive(ewc(0.0))
    learn(strategy, numbered(0))

    plugin.before_experience(strategy.learner.model, 1)

    assert plugin.penalty() is None
    assert learn(strategy, numbered(1)) == learn(free, numbered(0), numbered(1))[-6:]


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_lambda_times_fisher_times_the_distance(kind, naive, numbered):
    plugin = ewc(3.0, fisher=kind)
    strategy = naive(plugin)
    learn(strategy, numbered(0))
    model = strategy.learner.model
    at_end = {name: p.detach().clone() for name, p in model.named_parameters()}
    plugin.before_experience(model, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.linspace(-1, 1, parameter.numel()).view(parameter.shape)
    model.zero_grad()

    plugin.penalty().backward()

    for name, parameter in model.named_parameters():
        importance = plugin.held.importance[name].view(parameter.shape)
        expected = 3.0 * importance * (parameter - at_end[name]).detach()
        torch.testing.assert_close(parameter.grad, expected)
        assert importance.gt(0).any()


@pytest.mark.parametrize(("mode", "gamma"), [("separate", 1.0), ("online", 1.0), ("online", 0.5)])
def test_the_penalty_after_several_experiences_is_the_one_written_out(mode, gamma, naive, numbered):
    plugin = ewc(2.0, mode=mode, gamma=gamma, fisher="empirical", fisher_rows=None)
    strategy, learnt = naive(plugin), []
    for index in range(3):
        rows = numbered(index, rows=30)
        learn(strategy, rows)
        model = strategy.learner.model
        f = fisher(model, inputs(rows), "empirical", rows.train.y.tolist())
        learnt.append((f, {n: p.detach().double() for n, p in deepcopy(model).named_parameters()}))
    plugin.before_experience(model, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1

    here = {name: p.detach().double() for name, p in model.named_parameters()}
    expected = 0.0
    for age, (f, anchor) in enumerate(reversed(learnt)):
        anchor = anchor if mode == "separate" else learnt[-1][1]
        weight = gamma**age
        expected += sum(float((weight * f[n] * (here[n] - anchor[n]) ** 2).sum()) for n in here)
    assert plugin.penalty().item() == pytest.approx(expected, rel=1e-4)


def test_what_is_kept_is_as_wide_as_two_models_however_many_experiences_there_were(naive, numbered):
    for mode in ("separate", "online"):
        plugin = ewc(mode=mode)
        strategy = naive(plugin)
        for index in range(3):
            learn(strategy, numbered(index))
        state = plugin.state_dict()
        kept = sum(v.numel() for part in ("importance", "anchor") for v in state[part].values())
        assert kept == 2 * sum(p.numel() for p in strategy.learner.model.parameters())


def test_a_strong_penalty_keeps_old_answers_where_their_outputs_are_left_alone(naive, numbered):
    def drift(ewc_lambda: float) -> float:
        strategy = naive(ewc(ewc_lambda), train_epochs=8, active="experience")
        learn(strategy, numbered(0))
        before = strategy.predict(numbered(0).test.x)[:, :2]
        learn(strategy, numbered(1))
        return float((strategy.predict(numbered(0).test.x)[:, :2] - before).norm())

    assert drift(100.0) < 0.5 * drift(0.0)


def test_frozen_and_excluded_parameters_are_not_held(naive, numbered):
    plugin = ewc(exclude=["output.bias"])
    strategy = naive(plugin)
    strategy.learner.model.features[1].bias.requires_grad_(False)

    learn(strategy, numbered(0))

    assert list(plugin.held.importance) == ["features.1.weight", "output.weight"]


def test_a_parameter_frozen_from_the_second_experience_keeps_its_importance(naive, numbered):
    plugin = ewc(mode="online", gamma=0.5)
    strategy = naive(plugin)
    learn(strategy, numbered(0))
    before = plugin.held.importance["features.1.weight"].clone()
    strategy.learner.model.features.requires_grad_(False)

    learn(strategy, numbered(1))
    plugin.before_experience(strategy.learner.model, 2)

    torch.testing.assert_close(plugin.held.importance["features.1.weight"], before / 2)
    assert list(plugin.held.parameters) == ["output.weight", "output.bias"]
    assert plugin.penalty().item() == pytest.approx(0)


def test_a_saved_state_does_not_change_afterwards_and_is_read_again(naive, numbered):
    plugin = ewc()
    strategy = naive(plugin)
    learn(strategy, numbered(0), numbered(1))
    state = plugin.state_dict()
    before = deepcopy(state)

    learn(strategy, numbered(2))
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    other = ewc()
    other.load_state_dict(torch.load(file, weights_only=True))

    torch.testing.assert_close(state, before, rtol=0, atol=0)
    torch.testing.assert_close(other.state_dict(), before, rtol=0, atol=0)


def test_gamma_without_anything_that_fades_is_refused():
    with pytest.raises(ValueError, match=r"gamma=0.9: mode=separate .* Use gamma=1, or"):
        ewc(gamma=0.9)


@pytest.mark.parametrize(
    "plugin",
    ["{name: ewc, ewc_lambda: 1}", "{name: mas}", "{name: mas, exclude: [output.bias]}"],
)
def test_a_head_that_ar1_sets_anew_is_not_held(plugin, trial):
    with pytest.raises(ConfigError, match=r"would hold output .* Add exclude: \[output\]"):
        trial("ar1", f"strategy.plugins=[{plugin}]")


@pytest.mark.parametrize(
    "words",
    [
        ("strategy.plugins=[{name: mas, exclude: [output]}]",),
        ("strategy.plugins=[{name: mas, exclude: ['out*']}]",),
        ("strategy.plugins=[{name: mas}]", "strategy.head=plain"),
        ("strategy.plugins=[{name: si, ewc_lambda: 1}]",),
    ],
)
def test_another_part_of_ar1_may_be(words, trial):
    trial("ar1", *words)


def test_the_probabilities_of_another_criterion_are_refused():
    words = (
        "strategy.plugins=[{name: ewc, ewc_lambda: 1}]",
        "strategy.criterion=binary_cross_entropy",
    )

    with pytest.raises(
        ConfigError, match=r"plugins ewc: the Fisher information is that of softmax"
    ):
        clrun.compose(["strategy=naive", *words])


def test_what_ar1_learns_of_is_its_upper_part_and_so_is_what_is_held(trial):
    words = (
        "model.hidden=[8,8]",
        "strategy.plugins=[{name: ewc, ewc_lambda: 1, exclude: [output]}]",
    )
    strategy, stream, _ = trial("ar1", *words, "benchmark.limit_per_class=20")

    learn(strategy, *stream[:2])

    (plugin,) = (p for p in strategy.learner.plugins if isinstance(p, EWC))
    assert set(plugin.held.importance) == {"features.linear1.weight", "features.linear1.bias"}
    assert all(values.gt(0).any() for values in plugin.held.importance.values())
    assert strategy.vitals()["penalties"]["EWC"] > 0


def test_a_memory_goes_with_it(trial):
    words = ("benchmark.limit_per_class=20", "model.hidden=[8]", ON)
    strategy, stream, _ = trial("replay", *words)

    learn(strategy, *stream[:2])

    assert strategy.memory_rows()["rows"] > 0
    assert strategy.vitals()["penalties"]["EWC"] > 0


def test_it_works_above_a_frozen_layer(trial):
    words = (
        "model.hidden=[8,8]",
        "strategy.latent_layer=features.relu0",
        "strategy.train_epochs=1",
    )
    strategy, stream, _ = trial("naive", *words, "strategy.plugins=[{name: ewc, ewc_lambda: 1}]")

    learn(strategy, *stream[:2])

    assert strategy.vitals()["penalties"]["EWC"] > 0
