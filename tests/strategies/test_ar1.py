from __future__ import annotations

import copy
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clrun
from clrun.errors import ConfigError
from clrun.images.transforms import Transform
from clrun.memory.latent_memory import LatentMemory
from clrun.models.batch_renorm import BatchRenorm2D
from clrun.models.features import evaluating
from clrun.models.macs import forward_macs
from clrun.models.mlp import MLP
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.runner.prepare import prepare
from clrun.seeds import isolated
from clrun.strategies.ar1 import AR1
from clrun.strategies.naive import Naive
from clrun.strategies.step import Position, Step
from clrun.strategies.synaptic_intelligence import SynapticIntelligence
from clrun.streams.experience import Benchmark, Experience, StreamShape

SMALL: dict[str, Any] = {"latent_layer": "features.relu0", "train_mb_size": 32, "lr": 0.05}
"""For the MLP on digits."""
PLAIN = Transform((0.0,), (1.0,), "none")
FLIPPED = Transform((0.0,), (1.0,), "flip")


def config(**changes: Any) -> AR1.Config:
    """The defaults of conf/strategy/ar1.yaml, changed."""
    keys = clrun.compose(["strategy=ar1"]).nodes["strategy"].values
    return AR1.Config(**{**keys, **changes})


@cache
def digits(*words: str) -> Benchmark:
    return prepare(clrun.compose(["strategy=naive", "benchmark.limit_per_class=60", *words])).data


def mlp(shape: StreamShape) -> MLP:
    keys = {"hidden": [64, 32], "dropout": 0.2, "init": "pytorch", "pretrained": False}
    with isolated(0, "weights"):
        return MLP(MLP.Config(**keys), shape)


def mobilenet(num_classes: int = 6) -> MobilenetV1:
    with isolated(0, "weights"):
        model = MobilenetV1(num_classes, 19, in_channels=1)
        for layer in model.modules():  # a variance that 27 layers keep, whatever the default is
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return model


@pytest.fixture
def on_digits(parts_of):
    """An AR1 with an MLP cut behind its first layer, for a stream of digits."""

    def make(benchmark: Benchmark, *, seed=0, plugins=(), augment="none", **changes: Any) -> AR1:
        transform = Transform(benchmark.transform.mean, benchmark.transform.std, augment)
        parts = parts_of(
            model=mlp(benchmark.shape),
            transform=transform,
            num_classes=benchmark.shape.num_classes,
            seed=seed,
            plugins=plugins,
        )
        return AR1(config(**{**SMALL, **changes}), parts)

    return make


@pytest.fixture
def on_mobilenet(parts_of):
    """An AR1 with MobileNetV1 and minibatches of ten, for numbered rows."""

    def make(*, transform: Transform = PLAIN, **changes: Any) -> AR1:
        keys = {"train_mb_size": 10, "train_epochs": 1, "rm_sz": 20, **changes}
        return AR1(config(**keys), parts_of(model=mobilenet(), transform=transform))

    return make


def learn(strategy: AR1, *experiences: Experience) -> list[Step]:
    return [step for experience in experiences for step in strategy.learn(experience)]


def accuracy(strategy: AR1, experiences) -> float:
    hits = [strategy.predict(e.test.x).argmax(1) == e.test.y for e in experiences]
    return float(torch.cat(hits).double().mean())


@pytest.mark.parametrize("freeze_from", [0, 1])
def test_what_lies_between_the_frozen_layers_and_the_cut_learns_in_every_experience(
    on_digits, freeze_from
):
    keys = {"latent_layer": "features.relu1", "freeze_below_layer": "features.linear1"}
    benchmark = digits()
    strategy = on_digits(benchmark, freeze_from=freeze_from, **keys)
    layers = [strategy.split.model.get_submodule(f"features.linear{n}") for n in (0, 1)]
    weights = [[layer.weight.clone() for layer in layers]]

    for experience in benchmark.experiences[:2]:
        learn(strategy, experience)
        weights.append([layer.weight.clone() for layer in layers])
        before, after = weights[-2:]
        is_frozen = experience.index >= freeze_from
        assert torch.equal(before[0], after[0]) == is_frozen
        assert not torch.equal(before[1], after[1])
        latents = lower_latents(strategy, experience.test.x)
        found = strategy.latents.evaluation(experience.test.x)
        torch.testing.assert_close(found, latents, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "idle"), [("features.relu1", "features.dropout0"), ("features.linear0", None)]
)
def test_dropout_that_never_acts_is_noted(on_digits, caplog, layer, idle):
    on_digits(digits(), latent_layer=layer)

    assert bool(caplog.messages) == bool(idle)
    assert idle is None or f"dropout {idle} has no effect" in caplog.text


def lower_latents(strategy: AR1, x: Tensor) -> Tensor:
    """What the lower part makes of images now, in evaluation mode."""
    lower = strategy.split.cut.lower
    with torch.no_grad(), evaluating(lower):
        return lower(strategy.parts.transform.evaluation(x))


def differing(state: Any, other: Any, path: str = "") -> list[str]:
    """The paths at which two states are not the same bits."""
    if isinstance(state, Tensor):
        same = isinstance(other, Tensor) and torch.equal(state, other)
        return [] if same else [path]
    if isinstance(state, dict | list | tuple):
        if type(state) is not type(other) or len(state) != len(other):
            return [path]
        keys = state.keys() if isinstance(state, dict) else range(len(state))
        if isinstance(state, dict) and keys != other.keys():
            return [path]
        return [d for k in keys for d in differing(state[k], other[k], f"{path}/{k}")]
    return [] if state == other else [path]


# What is replayed


@pytest.mark.parametrize("scenario", ["nc", "ni"])
@pytest.mark.parametrize("cache", ["auto", "off"])
def test_every_stored_latent_carries_its_own_label(on_digits, scenario, cache):
    benchmark = digits(f"benchmark.scenario={scenario}")
    strategy = on_digits(benchmark, rm_sz=150, latent_cache=cache, train_epochs=1)

    learn(strategy, *benchmark)

    rows = strategy.memory.rows
    experiences = list(benchmark)
    for row in range(0, 150, 7):
        source = experiences[int(rows.experience[row])].train
        sample = int(rows["sample"][row])
        expected = lower_latents(strategy, source.x[sample : sample + 1])[0]
        torch.testing.assert_close(strategy.memory.codes[row], expected, rtol=1e-5, atol=1e-5)
        assert int(rows.y[row]) == int(source.y[sample])


class Scrambled(LatentMemory):
    """The reference's mistake: latents in the order of training, labels in that of the data."""

    def offer(self, y: Tensor, experience: int, *latents: Any) -> None:
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(experience))
        super().offer(y[order], experience, *latents)


def test_labels_in_another_order_than_their_latents_cost_half_of_the_accuracy(on_digits):
    benchmark = digits("benchmark.n_experiences=2")
    right = on_digits(benchmark, rm_sz=200)
    wrong = on_digits(benchmark, rm_sz=200)
    wrong.memory = Scrambled(200, None, "float32", 0)

    learn(right, *benchmark)
    learn(wrong, *benchmark)

    assert accuracy(right, benchmark) > 0.8
    assert accuracy(wrong, benchmark) < accuracy(right, benchmark) - 0.2


def test_with_freeze_from_never_everything_goes_on_learning(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, freeze_from="never", freeze_below_layer="features.linear1")
    learn(strategy, benchmark.experiences[0])
    before = {n: p.detach().clone() for n, p in strategy.split.model.named_parameters()}

    learn(strategy, benchmark.experiences[1])

    now = dict(strategy.split.model.named_parameters())
    assert all(parameter.requires_grad for parameter in now.values())
    assert not any(torch.equal(now[name], before[name]) for name in now)


@pytest.mark.parametrize("freeze_from", [0, 1])
def test_latents_are_stored_as_the_final_weights_make_them(on_digits, freeze_from):
    benchmark = digits()
    strategy = on_digits(benchmark, freeze_from=freeze_from)
    first = benchmark.experiences[0]
    before = lower_latents(strategy, first.train.x)

    learn(strategy, first)

    sample, stored = strategy.memory.rows["sample"], strategy.memory.codes
    now = lower_latents(strategy, first.train.x)
    torch.testing.assert_close(stored, now[sample], rtol=1e-5, atol=1e-5)
    assert torch.equal(now, before) == (freeze_from == 0)


def test_augmentation_changes_what_is_trained_on_and_not_what_is_stored(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, augment="flip", train_epochs=1)

    learn(strategy, *benchmark.experiences[:2])

    rows = strategy.memory.rows
    second = rows.experience == 1
    expected = lower_latents(strategy, benchmark.experiences[1].train.x)[rows["sample"][second]]
    torch.testing.assert_close(strategy.memory.codes[second], expected, rtol=1e-5, atol=1e-5)


def test_minibatches_follow_the_memory_s_length(on_digits, numbered):
    benchmark = digits()
    strategy = on_digits(benchmark, rm_sz=200, train_epochs=1)

    steps = [learn(strategy, experience) for experience in benchmark]

    rows = len(benchmark.experiences[0].train.y)
    assert rows == 120
    assert [s.patterns - s.replayed for s in steps[0]] == [32, 32, 32, 24]
    # 120 stored, 240 // 32 = 7 minibatches, 120 // 7 = 17 new rows in each
    assert [(s.patterns - s.replayed, s.replayed) for s in steps[1]] == [(17, 15)] * 7 + [(1, 15)]
    # 200 stored, 320 // 32 = 10 minibatches, 120 // 10 = 12 new rows in each
    assert {(s.patterns - s.replayed, s.replayed) for s in steps[2]} == {(12, 20)}
    assert len(strategy.memory) == 200


def test_without_a_memory_it_trains_on_new_rows_alone(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, rm_sz=0, train_mb_size=1, train_epochs=1)

    steps = learn(strategy, *benchmark.experiences[:2])

    assert {step.replayed for step in steps} == {0}
    assert strategy.memory_rows() == {"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {}}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint8"])
def test_fewer_bits_cost_next_to_nothing(on_digits, dtype):
    benchmark = digits()
    full, short = on_digits(benchmark), on_digits(benchmark, latent_dtype=dtype)

    learn(full, *benchmark)
    learn(short, *benchmark)

    assert short.memory.nbytes < 0.65 * full.memory.nbytes
    assert accuracy(short, benchmark) > accuracy(full, benchmark) - 0.03


def test_replay_is_what_keeps_old_classes(on_digits):
    benchmark = digits()
    replayed, bare = on_digits(benchmark), on_digits(benchmark, rm_sz=0)

    learn(replayed, *benchmark)
    learn(bare, *benchmark)

    assert accuracy(replayed, benchmark) > accuracy(bare, benchmark) + 0.3


# What is frozen, and what learns


def weights_and_statistics(model: nn.Module) -> dict[str, Tensor]:
    """All that a forward pass in evaluation mode depends on."""
    schedule = ("r_max", "d_max", "momentum", "r_d_max_inc_step")
    state = model.state_dict().items()
    return {name: tensor.clone() for name, tensor in state if not name.endswith(schedule)}


def test_the_lower_part_is_the_same_bits_after_experiences_with_weight_decay(
    on_mobilenet, numbered
):
    strategy = on_mobilenet(l2=0.1, lr=0.01)
    learn(strategy, numbered(0, rows=20))
    lower = weights_and_statistics(strategy.split.cut.lower)
    head = strategy.split.head.weight.detach().clone()
    upper = weights_and_statistics(strategy.split.cut.upper)

    learn(strategy, numbered(1, rows=20))

    assert differing(weights_and_statistics(strategy.split.cut.lower), lower) == []
    assert not torch.equal(strategy.split.head.weight, head)
    assert len(differing(weights_and_statistics(strategy.split.cut.upper), upper)) == len(upper)


def test_only_what_learns_is_given_to_the_optimizer(on_mobilenet, numbered):
    strategy = on_mobilenet()
    learn(strategy, numbered(0, rows=10))
    in_first = strategy.learner.optimizer.param_groups[0]["params"]

    learn(strategy, numbered(1, rows=10))

    in_second = strategy.learner.optimizer.param_groups[0]["params"]
    assert len(in_first) == 82
    assert len(in_second) == 22  # 7 convolutions with scale and shift, and the head


@pytest.mark.parametrize(("inc_lr", "expected"), [(None, 0.05), (0.002, 0.002)])
def test_later_experiences_have_a_step_size_of_their_own(on_digits, inc_lr, expected):
    benchmark = digits()
    strategy = on_digits(benchmark, inc_lr=inc_lr, train_epochs=1)

    learn(strategy, benchmark.experiences[0])
    first = strategy.learner.optimizer.param_groups[0]["lr"]
    learn(strategy, benchmark.experiences[1])

    assert (first, strategy.learner.optimizer.param_groups[0]["lr"]) == (0.05, expected)


def test_latents_that_are_looked_up_cost_one_pass_of_the_lower_part(on_digits):
    benchmark = digits()
    spent = {}
    for use in ("auto", "off"):
        strategy = on_digits(benchmark, latent_cache=use, train_epochs=3)
        learn(strategy, benchmark.experiences[0])
        before = strategy.train_macs
        learn(strategy, benchmark.experiences[1])
        spent[use] = strategy.train_macs - before

    rows = len(benchmark.experiences[1].train.y)
    one_row = forward_macs(strategy.split.cut.lower, (1, 8, 8))
    stored = int((strategy.memory.rows.experience == 1).sum())
    assert one_row == 64 * 64
    assert stored > 0
    assert spent["off"] - spent["auto"] == (2 * rows + stored) * one_row


def test_the_head_may_learn_faster_than_the_rest(on_digits):
    benchmark = digits()
    settings = {"momentum": 0.0, "l2": 0.0, "head": "plain", "norm": "bn"}
    moved = {}
    for factor in (1.0, 10.0):
        strategy = on_digits(benchmark, head_lr_factor=factor, **settings)
        before = copy.deepcopy(strategy.split.model.state_dict())
        next(iter(strategy.learn(benchmark.experiences[0])))
        after = strategy.split.model.state_dict()
        moved[factor] = {name: after[name] - before[name] for name in before}

    assert set(moved[1.0]) > {"output.weight", "features.linear0.weight"}
    for name, usual in moved[1.0].items():
        expected = 10 * usual if name.startswith("output.") else usual
        torch.testing.assert_close(moved[10.0][name], expected, rtol=1e-3, atol=1e-7)


def test_new_classes_are_learnt_with_rows_as_long_as_the_first_ones(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark)

    learn(strategy, *benchmark.experiences[:2])

    norms = strategy.split.head.weight.detach().norm(dim=1)
    assert float(norms[2:4].mean() / norms[:2].mean()) == pytest.approx(1, abs=0.5)
    assert accuracy(strategy, benchmark.experiences[1:2]) > 0.7


def test_bounds_of_batch_renorm_rise_in_the_first_experience_and_jump_after_it(
    on_mobilenet, numbered
):
    strategy = on_mobilenet(inc_step=0.001)
    layer = strategy.split.model.end_features[0].bn

    learn(strategy, numbered(0, rows=20))
    first = float(layer.r_max), float(layer.d_max)
    learn(strategy, numbered(1, rows=20))

    assert first == (pytest.approx(1.02), pytest.approx(0.02))
    assert (float(layer.r_max), float(layer.d_max)) == (1.25, 0.5)


def test_the_plain_head_goes_on_learning_where_cwr_star_starts_afresh(on_digits):
    benchmark = digits()
    plain, consolidated = on_digits(benchmark, head="plain"), on_digits(benchmark)
    for strategy in (plain, consolidated):
        learn(strategy, benchmark.experiences[0])
    plain_rows = plain.split.head.weight.detach().clone()

    next(plain.learn(benchmark.experiences[1]))
    next(consolidated.learn(benchmark.experiences[1]))

    assert plain.cwr is None
    moved = (plain.split.head.weight.detach() - plain_rows).norm()
    assert float(moved) < 0.5 * float(plain_rows.norm())
    assert float(consolidated.split.head.weight[4:].detach().abs().max()) < 0.1
    assert consolidated.cwr.counts.tolist()[:4] == [60] * 4


# Synaptic Intelligence


def test_synaptic_intelligence_holds_back_the_upper_part_from_the_second_experience_on(on_digits):
    benchmark = digits()
    free, held = on_digits(benchmark), on_digits(benchmark, ewc_lambda=1e3)
    first, second = benchmark.experiences[:2]

    alike = [float(a.loss) for a in learn(free, first)] == [
        float(b.loss) for b in learn(held, first)
    ]
    moved = {}
    for name, strategy in (("free", free), ("held", held)):
        before = strategy.split.model.features.linear1.weight.detach().clone()
        learn(strategy, second)
        moved[name] = (strategy.split.model.features.linear1.weight.detach() - before).norm()

    (si,) = held.learner.plugins
    assert alike
    assert moved["held"] < 0.9 * moved["free"]
    assert all(bool((values >= 0).all()) for values in si.importance.values())
    assert not any(name.startswith("output") for name in si.importance)


def test_its_penalty_is_above_zero_from_the_second_update_of_the_second_experience(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, ewc_lambda=1.0)
    learn(strategy, benchmark.experiences[0])

    learning = strategy.learn(benchmark.experiences[1])
    next(learning)

    assert strategy.learner.plugins[0].penalty().item() > 0


def test_it_beats_naive_which_does_not_know_it(on_digits, parts_of, descent_keys):
    benchmark = digits()
    strategy = on_digits(benchmark, ewc_lambda=1.0)
    keys = {**descent_keys, "lr": 0.05, "momentum": 0.9, "train_epochs": 4}
    naive = Naive(
        Naive.Config(**keys),
        parts_of(model=mlp(benchmark.shape), transform=benchmark.transform, num_classes=10),
    )

    learn(strategy, *benchmark)
    learn(naive, *benchmark)

    assert accuracy(strategy, benchmark) > accuracy(naive, benchmark) + 0.3


# The cache


def test_cached_latents_are_those_computed_on_the_fly(on_digits):
    benchmark = digits()
    cached, fresh = on_digits(benchmark), on_digits(benchmark, latent_cache="off")

    learn(cached, *benchmark.experiences[:2])
    learn(fresh, *benchmark.experiences[:2])

    x = benchmark.experiences[0].test.x
    torch.testing.assert_close(
        cached.latents.evaluation(x), fresh.latents.evaluation(x), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(cached.predict(x), fresh.predict(x), rtol=1e-3, atol=1e-3)


def test_mobilenet_s_cached_latents_are_those_computed_on_the_fly(on_mobilenet, numbered):
    strategy = on_mobilenet(freeze_from=0)
    x = numbered(0, rows=18).train.x

    cached = strategy.latents.evaluation(x)

    torch.testing.assert_close(cached, lower_latents(strategy, x), rtol=1e-5, atol=1e-5)


def test_a_layer_that_writes_in_place_above_the_cut_leaves_cached_latents_alone(
    on_mobilenet, numbered
):
    strategy = on_mobilenet(latent_layer="lat_features.19.bn", freeze_from=0)
    x = numbered(0, rows=18).train.x

    first, again = strategy.predict(x), strategy.predict(x)

    assert bool((strategy.latents.evaluation(x) < 0).any())
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("changes", "augment", "computed"),
    [
        ({}, "none", 1),
        ({"latent_cache": "off"}, "none", 4),
        ({}, "flip", 4),
    ],
)
def test_the_frozen_part_sees_a_row_once_unless_its_image_changes(
    on_digits, changes, augment, computed
):
    benchmark = digits()
    strategy = on_digits(benchmark, rm_sz=0, augment=augment, **changes)
    learn(strategy, benchmark.experiences[0])
    rows = []
    strategy.split.model.features.linear0.register_forward_hook(
        lambda _module, inputs, _output: rows.append(0 if inputs[0].is_meta else len(inputs[0]))
    )
    second = benchmark.experiences[1]

    learn(strategy, second)

    chunks = -(-len(second.train.y) // 16) * 16
    assert sum(rows) == (chunks if computed == 1 else 4 * len(second.train.y))


def test_the_test_set_passes_the_frozen_part_once_in_the_whole_stream(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, rm_sz=0, train_epochs=1)
    test = benchmark.experiences[0].test.x
    rows = []
    strategy.split.model.features.linear0.register_forward_hook(
        lambda _module, inputs, _output: rows.append(0 if inputs[0].is_meta else len(inputs[0]))
    )
    learn(strategy, benchmark.experiences[0])
    strategy.predict(test.clone())
    rows.clear()

    learn(strategy, benchmark.experiences[1])
    strategy.predict(test.clone())

    chunks = -(-len(benchmark.experiences[1].train.y) // 16) * 16
    assert sum(rows) == chunks


def test_predictions_before_and_after_the_lower_part_learnt_differ(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, head="plain")
    first = benchmark.experiences[0]
    before = strategy.latents.evaluation(first.test.x)

    learn(strategy, first)

    after = strategy.latents.evaluation(first.test.x)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, lower_latents(strategy, first.test.x), rtol=1e-5, atol=1e-5)


def test_cached_latents_are_forgotten_when_the_lower_part_learns_again(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark)
    first = benchmark.experiences[0]
    learn(strategy, first)
    before = strategy.latents.evaluation(first.test.x)

    learn(strategy, first)

    after = strategy.latents.evaluation(first.test.x)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, lower_latents(strategy, first.test.x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_two_runs_are_the_same_bits(on_digits, dtype):
    benchmark = digits()
    one, other = (on_digits(benchmark, latent_dtype=dtype, ewc_lambda=1.0) for _ in range(2))

    learn(one, *benchmark.experiences[:3])
    learn(other, *benchmark.experiences[:3])

    assert differing(one.state_dict(), other.state_dict()) == []


# Evaluation and resuming inside an experience


def test_evaluation_inside_an_experience_sees_the_head_that_its_end_would_give(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, train_epochs=1)
    learn(strategy, benchmark.experiences[0])
    x = benchmark.experiences[0].test.x

    for step in strategy.learn(benchmark.experiences[1]):
        if step.ends_epoch:
            before = strategy.predict(x)
            head = strategy.split.head.weight.detach().clone()
    after = strategy.predict(x)

    assert torch.equal(before, after)
    assert not torch.equal(head, strategy.split.head.weight)


def test_evaluations_on_the_way_change_nothing(on_digits):
    benchmark = digits()
    plain, evaluated = on_digits(benchmark), on_digits(benchmark)

    learn(plain, *benchmark.experiences[:2])
    for experience in benchmark.experiences[:2]:
        for _ in evaluated.learn(experience):
            evaluated.predict(experience.test.x)

    assert differing(plain.state_dict(), evaluated.state_dict()) == []


RESUMED = {
    "frozen": {},
    "uncached": {"latent_cache": "off"},
    "augmented": {"augment": "flip", "freeze_from": 0},
    "held back": {"ewc_lambda": 10.0, "latent_dtype": "uint8"},
    "plain adam": {"head": "plain", "optimizer": "adam", "momentum": 0.0, "lr": 0.002},
}


@pytest.mark.parametrize("case", RESUMED)
@pytest.mark.parametrize("index", [0, 1])
def test_a_run_resumed_after_any_update_goes_on_as_if_nothing_had_happened(on_digits, case, index):
    benchmark = digits()
    keys = {"rm_sz": 100, "train_epochs": 2, "train_mb_size": 64, **RESUMED[case]}
    whole = on_digits(benchmark, **keys)
    experience = benchmark.experiences[index]
    learn(whole, *benchmark.experiences[:index])
    steps, states = [], []
    for step in whole.learn(experience):
        steps.append(step)
        states.append(deepcopy(whole.state_dict()))

    for made, state in enumerate(states, start=1):
        resumed = on_digits(benchmark, **keys)
        resumed.load_state_dict(state)
        last = steps[made - 1]
        start = (
            Position(last.epoch + 1)
            if last.ends_epoch
            else Position(last.epoch, last.iteration + 1)
        )
        rest = list(resumed.learn(experience, start))
        assert [float(s.loss) for s in rest] == [float(s.loss) for s in steps[made:]]
        assert differing(resumed.state_dict(), whole.state_dict()) == []


def test_latents_looked_up_before_a_state_is_loaded_are_not_those_of_its_lower_part(on_digits):
    benchmark = digits()
    saved, resumed = on_digits(benchmark, seed=1), on_digits(benchmark, seed=2)
    experience, x = benchmark.experiences[0], benchmark.experiences[0].test.x
    learn(saved, experience)
    learn(resumed, experience)
    assert not torch.equal(resumed.predict(x), saved.predict(x))  # and both keep their latents

    resumed.load_state_dict(deepcopy(saved.state_dict()))

    assert torch.equal(resumed.predict(x), saved.predict(x))


def test_mobilenet_resumes_inside_an_experience_bit_for_bit(on_mobilenet, numbered):
    whole = on_mobilenet(ewc_lambda=1.0)
    learn(whole, numbered(0, rows=20))
    learning = whole.learn(numbered(1, rows=20))
    step = next(learning)
    resumed = on_mobilenet(ewc_lambda=1.0)
    resumed.load_state_dict(deepcopy(whole.state_dict()))

    rest = list(learning)
    again = list(resumed.learn(numbered(1, rows=20), Position(0, step.iteration + 1)))

    assert [float(s.loss) for s in rest] == [float(s.loss) for s in again]
    assert differing(resumed.state_dict(), whole.state_dict()) == []


def test_a_state_after_the_last_update_says_how_batch_renorm_is_doing(on_mobilenet, numbered):
    whole, resumed = on_mobilenet(), on_mobilenet()
    learn(whole, numbered(0, rows=20))

    resumed.load_state_dict(deepcopy(whole.state_dict()))

    assert "renormalisation" in whole.vitals()
    assert resumed.vitals()["renormalisation"] == whole.vitals()["renormalisation"]


# Small streams and bad input


@pytest.mark.parametrize("norm", ["brn", "bn"])
def test_a_tiny_stream_of_single_classes_runs_to_its_end(on_mobilenet, numbered, norm):
    strategy = on_mobilenet(norm=norm)
    stream = [numbered(k, rows=11, classes=[2 * k]) for k in range(3)]

    steps = learn(strategy, *stream)

    held = strategy.memory_rows()
    assert all(bool(step.loss.isfinite()) for step in steps)
    assert (held["rows"], sum(held["per_class"].values())) == (20, 20)
    assert held["per_experience"].keys() == {0, 1, 2}
    assert strategy.predict(stream[0].test.x).shape == (11, 6)
    layers = [m for m in strategy.split.model.modules() if isinstance(m, BatchRenorm2D)]
    assert (len(layers) == 27) == (norm == "brn")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_and_stores_what_was_asked_for(parts_of, numbered, precision):
    strategy = AR1(config(**{**SMALL, "latent_layer": "features.1"}), parts_of(precision=precision))

    steps = learn(strategy, numbered(0), numbered(1))

    assert all(bool(step.loss.isfinite()) for step in steps)
    assert strategy.memory.codes.dtype == torch.float32
    assert strategy.predict(numbered(0).test.x).dtype == torch.float32


def test_an_experience_of_one_row_can_be_learnt(on_mobilenet, numbered):
    strategy = on_mobilenet()

    learn(strategy, numbered(0, rows=1, classes=[0]), numbered(1, rows=1, classes=[1]))

    assert strategy.memory.rows.y.tolist() == [0, 1]


def test_training_draws_nothing_from_the_global_generator(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, augment="flip", plugins=(si(),))
    before = torch.get_rng_state()

    learn(strategy, *benchmark.experiences[:2])
    strategy.predict(benchmark.experiences[0].test.x)

    assert torch.equal(torch.get_rng_state(), before)


def si() -> SynapticIntelligence:
    return SynapticIntelligence(SynapticIntelligence.Config(ewc_lambda=1.0))


DIGITS = StreamShape(channels=1, height=8, width=8, num_classes=6, num_experiences=3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"freeze_below_layer": "lat_features.19.bn.bet"}, "freeze_below_layer=lat_features.19.bn"),
        ({"latent_layer_num": 18}, "freeze_below_layer=.*above the latent layer"),
        ({"rm_bytes": 8000}, "rm_bytes=8000: .* takes 8224 bytes"),
    ],
)
def test_what_cannot_work_with_the_model_is_told_before_anything_starts(changes, told):
    model = mobilenet()
    before = deepcopy(model.state_dict())

    with pytest.raises(ConfigError, match=rf"^strategy\.{told}"):
        AR1.check(config(**changes), model, DIGITS)

    assert differing(dict(model.state_dict()), dict(before)) == []


def test_a_check_leaves_a_good_model_as_it_is():
    model = mobilenet()
    before = deepcopy(model.state_dict())

    AR1.check(config(freeze_from=0, latent_layer_num=27), model, DIGITS)

    assert differing(dict(model.state_dict()), dict(before)) == []
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_one_row_more_fits_where_the_limit_allows_it(on_mobilenet, numbered):
    row = 512 * 2 * 2 * 4 + 32
    strategy = on_mobilenet(rm_bytes=3 * row + 1)

    learn(strategy, numbered(0, rows=10))

    assert strategy.memory_rows()["bytes"] == 3 * row


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("strategy.rm_sz=-1", r"strategy.rm_sz=-1: must be at least 0"),
        ("strategy.latent_layer_num=28", r"strategy.latent_layer_num=28: must be at most 27"),
        ("strategy.latent_layer_num=-1", r"strategy.latent_layer_num=-1: must be at least 0"),
        ("strategy.freeze_from=2", r"strategy.freeze_from=2: must be one of 0, 1, never"),
        ("strategy.latent_dtype=int8", r"strategy.latent_dtype=int8: must be one of float32"),
        ("strategy.train_mb_size=1", r"strategy.train_mb_size=1: cannot hold a new and"),
        ("strategy.rm_sz=0 strategy.rm_bytes=9", r"strategy.rm_bytes=9: strategy.rm_sz=0 asks"),
    ],
)
def test_a_key_out_of_bounds_is_one_line(words, told):
    with pytest.raises(ConfigError, match=rf"^{told}") as error:
        clrun.compose(["strategy=ar1", "model=mlp", *words.split()])

    assert len(error.value.problems) == 1


def test_the_defaults_are_the_reference_s():
    defaults = config()

    assert (defaults.lr, defaults.inc_lr, defaults.momentum, defaults.l2) == (
        *(0.001, None, 0.9, 0.0005),
    )
    assert (defaults.train_epochs, defaults.train_mb_size, defaults.eval_mb_size) == (4, 128, 128)
    assert (defaults.init_update_rate, defaults.inc_update_rate) == (0.01, 5e-5)
    assert (defaults.max_r_max, defaults.max_d_max, defaults.inc_step) == (1.25, 0.5, 4.1e-5)
    assert (defaults.rm_sz, defaults.latent_layer_num, defaults.ewc_lambda) == (1500, 19, 0)
    assert defaults.freeze_below_layer == "lat_features.19.bn.beta"


def test_it_brings_mobilenet_and_the_command_line_still_wins():
    assert clrun.compose(["strategy=ar1"]).nodes["model"].option == "mobilenet_v1"
    assert clrun.compose(["strategy=ar1", "model=cnn"]).nodes["model"].option == "cnn"
    assert clrun.compose(["strategy=naive"]).nodes["model"].option == "mlp"


@pytest.mark.parametrize("head", ["cwr_star", "plain"])
def test_separate_heads_learn_under_a_consolidated_head_too(head, on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, active="experience", head=head, train_epochs=2, lr=0.1)

    for experience in benchmark:
        list(strategy.learn(experience))

    own = [task_aware(strategy, experience) for experience in benchmark]
    assert min(own) > 0.8


def task_aware(strategy: AR1, experience: Experience) -> float:
    """The accuracy among the experience's own classes."""
    logits = strategy.predict(experience.test.x)[:, list(experience.classes)]
    answers = torch.tensor(experience.classes)[logits.argmax(1)]
    return float((answers == experience.test.y).double().mean())


def test_in_an_update_of_separate_heads_no_other_row_moves(on_digits):
    benchmark = digits()
    strategy = on_digits(benchmark, active="experience", rm_sz=0, l2=0.01, momentum=0.9)
    list(strategy.learn(benchmark.experiences[0]))
    steps = strategy.learn(benchmark.experiences[1])
    next(steps)
    before = strategy.split.head.weight.detach().clone()

    next(steps)

    moved = (strategy.split.head.weight.detach() != before).any(1)
    assert moved.nonzero().flatten().tolist() == list(benchmark.experiences[1].classes)
