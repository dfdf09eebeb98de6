"""Which outputs a row's loss knows, against networks whose heads are really separate."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import clrun
from clrun.errors import ConfigError
from clrun.memory.storage_policy import ReservoirStoragePolicy
from clrun.runner.prepare import prepare
from clrun.strategies.active import MASKED
from clrun.strategies.naive import Naive
from clrun.strategies.places import Place
from clrun.strategies.plugin import Plugin
from clrun.strategies.replay import Replay
from clrun.streams.experience import Benchmark, Experience, StreamShape

REPLAY = {
    "mem_size": 20,
    "mix": "add",
    "memory_mb_size": 5,
    "balance": "none",
    "epoch_length": "current",
    "memory_update": "experience",
}
OPTIMIZERS = {
    "sgd": {"lr": 0.3},
    "decay": {"lr": 0.3, "l2": 0.05},
    "momentum": {"lr": 0.1, "momentum": 0.9, "l2": 0.01},
    "adam": {"optimizer": "adam", "lr": 0.01, "l2": 0.01},
    "adamw": {"optimizer": "adamw", "lr": 0.01, "l2": 0.1},
}


@pytest.fixture
def naive(descent_keys, parts_of):
    def make(*, tricks=True, **changes) -> Naive:
        return Naive(Naive.Config(**{**descent_keys, **changes}), parts_of(tricks=tricks))

    return make


@pytest.fixture
def replay(descent_keys, parts_of, recording):
    def make(*, tricks=True, **changes) -> Replay:
        policy = ReservoirStoragePolicy(ReservoirStoragePolicy.Config())
        parts = parts_of(tricks=tricks, transform=recording, storage_policy=policy)
        return Replay(Replay.Config(**{**descent_keys, **REPLAY, **changes}), parts)

    return make


class SeparateHeads(nn.Module):
    """A trunk below one linear layer for each experience: what `active=experience` is to be."""

    def __init__(self, masked: nn.Module, classes: list[list[int]]) -> None:
        super().__init__()
        self.classes = classes
        self.features = deepcopy(masked.features)
        self.heads = nn.ModuleList(nn.Linear(8, len(own)) for own in classes)
        for head, own in zip(self.heads, classes, strict=True):
            head.weight.data.copy_(masked.output.weight[own])
            head.bias.data.copy_(masked.output.bias[own])

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean over rows of the loss by the head that knows the row's class."""
        total = torch.zeros(())
        for head, own in zip(self.heads, self.classes, strict=True):
            rows = torch.isin(y, torch.tensor(own))
            if rows.any():
                target = torch.tensor([own.index(label) for label in y[rows].tolist()])
                logits = head(self.features(x[rows]))
                total = total + cross_entropy(logits, target, reduction="sum")
        return total / len(y)

    def joined(self) -> list[Tensor]:
        """The weights as those of one head over all classes."""
        order = torch.tensor([c for own in self.classes for c in own]).argsort()
        weight = torch.cat([head.weight for head in self.heads])[order]
        bias = torch.cat([head.bias for head in self.heads])[order]
        return [*self.features.parameters(), weight, bias]


def optimizer_of(model: nn.Module, keys: dict) -> torch.optim.Optimizer:
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    more = {"momentum": keys["momentum"]} if "momentum" in keys else {}
    kind = kinds[keys.get("optimizer", "sgd")]
    return kind(model.parameters(), lr=keys["lr"], weight_decay=keys.get("l2", 0), **more)


def weights(strategy) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in strategy.learner.model.parameters()]


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


CLASSES = [[4, 0], [2, 5], [1, 3]]


@pytest.mark.parametrize("tricks", [True, False], ids=["ours", "torch"])
@pytest.mark.parametrize("state", ["keep", "fresh"])
@pytest.mark.parametrize("keys", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_one_masked_head_is_as_many_separate_ones(keys, state, tricks, replay, numbered, recording):
    """With replay, though in the first experience there is nothing to replay."""
    trained = replay(
        active="experience", optimizer_state=state, train_epochs=2, tricks=tricks, **keys
    )
    separate = SeparateHeads(trained.learner.model, CLASSES)
    stream = [numbered(k, rows=40, classes=own) for k, own in enumerate(CLASSES)]
    rows = {1000 * e.index + i: (e.train.x[i], e.train.y[i]) for e in stream for i in range(40)}

    steps = [(e.index, step) for e in stream for step in trained.learn(e)]

    optimizer, begun = optimizer_of(separate, keys), 0
    for (index, step), numbers in zip(steps, recording.minibatches, strict=True):
        if index != begun and state == "fresh":
            optimizer = optimizer_of(separate, keys)
        begun = index
        x = torch.stack([rows[n][0] for n in numbers]).float() / 255
        loss = separate.loss(x, torch.stack([rows[n][1] for n in numbers]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        assert float(step.loss) == pytest.approx(float(loss.detach()), abs=1e-5)
    torch.testing.assert_close(weights(trained), separate.joined(), rtol=0, atol=1e-6)


def in_use(strategy, experience) -> list[list[bool]]:
    """For each update on an experience, which rows of the head it moved."""
    moved, before = [], strategy.learner.model.output.weight.detach().clone()
    for _ in strategy.learn(experience):
        after = strategy.learner.model.output.weight.detach().clone()
        moved.append((after != before).any(1).tolist())
        before = after
    return moved


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("keys", [OPTIMIZERS["momentum"], OPTIMIZERS["adamw"]], ids=["sgd", "adam"])
def test_a_head_that_no_row_belongs_to_stays_as_it_is(
    keys, precision, descent_keys, parts_of, numbered
):
    config = Naive.Config(**{**descent_keys, "active": "experience", **keys})
    trained = Naive(config, parts_of(precision=precision))

    first = in_use(trained, numbered(0))
    kept = deepcopy(trained.state_dict()["optimizer"]["state"])
    second = in_use(trained, numbered(1))

    assert first == [[True, True, False, False, False, False]] * 3
    assert second == [[False, False, True, True, False, False]] * 3
    state = trained.state_dict()["optimizer"]["state"]
    whole = len(list(trained.learner.model.parameters()))
    for number in (whole, whole + 1):  # weight and bias of the first experience's head
        assert kept[number].keys() == state[number].keys() != set()
        for name, value in kept[number].items():
            assert torch.equal(value, state[number][name]), name


def test_without_it_they_move_under_weight_decay_and_momentum(naive, numbered):
    trained = naive(active="seen", **OPTIMIZERS["momentum"])

    in_use(trained, numbered(0))

    assert in_use(trained, numbered(1)) == [[True] * 6] * 3


def test_a_method_can_say_that_other_heads_are_trained_too(naive, numbered):
    trained = naive(active="experience", l2=0.01)
    learn(trained, numbered(0), numbered(1))
    learner, before = trained.learner, weights(trained)[2]
    e = numbered(2)
    place, rows = Place(2, 0, 0, 1), torch.arange(8)
    learner.begin(e)

    logits = learner.forward(learner.inputs(e.train.x[rows], place), place)
    learner.touches([3])
    learner.update(learner.loss(logits, e.train.y[rows]), logits, e.train.y[rows], place)

    moved = (weights(trained)[2] != before).any(1).tolist()
    assert moved == [False, False, True, True, True, True]


def test_a_loss_that_is_looked_at_without_gradients_trains_no_head(naive, numbered):
    trained = naive(active="experience", l2=0.01)
    learn(trained, numbered(0))
    learner, before, e = trained.learner, weights(trained)[2], numbered(1)
    place, y = Place(1, 0, 0, 1), e.train.y[:8]
    learner.begin(e)

    logits = learner.forward(learner.inputs(e.train.x[:8], place), place)
    with torch.no_grad():
        learner.loss(logits, numbered(0).train.y[:8])
    learner.update(learner.loss(logits, y), logits, y, place)

    assert torch.equal(weights(trained)[2][:2], before[:2])


def rows_loss(logits: list[float], label: int, active: list[int]) -> float:
    return -math.log(math.exp(logits[label]) / sum(math.exp(logits[k]) for k in active))


@pytest.mark.parametrize(
    ("active", "known"),
    [
        ("all", lambda label, y: [0, 1, 2, 3, 4, 5]),
        ("seen", lambda label, y: [0, 1, 4, 5]),
        ("experience", lambda label, y: [0, 4] if label in (0, 4) else [1, 5]),
        ("minibatch", lambda label, y: sorted(set(y))),
    ],
)
def test_the_softmax_of_a_row_goes_over_its_active_outputs(active, known, naive, numbered):
    trained = naive(active=active)
    learn(trained, numbered(0, classes=[4, 0]))
    trained.learner.begin(numbered(1, classes=[5, 1]))
    logits, y = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), [0, 1, 0, 4, 1]

    loss = trained.learner.loss(logits, torch.tensor(y))

    rows = zip(logits.tolist(), y, strict=True)
    assert float(loss) == pytest.approx(sum(rows_loss(z, k, known(k, y)) for z, k in rows) / 5)


def test_no_yes_or_no_question_is_asked_about_an_inactive_output(naive, numbered):
    trained = naive(active="experience", criterion="binary_cross_entropy")
    trained.learner.begin(numbered(0, classes=[4, 0]))
    logits = torch.randn(3, 6, requires_grad=True)

    loss = trained.learner.loss(logits, torch.tensor([0, 4, 0]))
    loss.backward()

    asked = logits.detach()[:, [0, 4]]
    answers = torch.tensor([[1.0, 0], [0, 1], [1, 0]])
    expected = binary_cross_entropy_with_logits(asked, answers, reduction="sum") / 3
    torch.testing.assert_close(loss.detach(), expected)
    assert torch.equal(logits.grad[:, [1, 2, 3, 5]], torch.zeros(3, 4))


def test_experiences_merged_into_one_keep_their_own_outputs(naive, numbered):
    stream = [numbered(0, classes=[4, 0]), numbered(1, classes=[5, 1])]
    trained = naive(active="experience")
    trained.learner.begin(Experience.of_all(stream))
    logits = torch.randn(2, 6)

    masked = trained.learner.masked(logits, torch.tensor([4, 1]))

    assert (masked > MASKED).nonzero().tolist() == [[0, 0], [0, 4], [1, 1], [1, 5]]


def test_a_class_that_comes_back_has_no_head_of_its_own(naive, numbered):
    trained = naive(active="experience")
    learn(trained, numbered(0, classes=[4, 0]))

    with pytest.raises(ConfigError, match="class 4 occurs in more than one experience"):
        learn(trained, numbered(1, classes=[4, 1]))


def test_correct_rows_are_counted_among_active_outputs(naive, numbered):
    trained, chance = naive(active="experience"), naive()
    for strategy in (trained, chance):
        with torch.no_grad():
            strategy.learner.model.output.bias[5] = 50.0  # wins among all outputs

    steps, others = learn(trained, numbered(0)), learn(chance, numbered(0))

    assert int(steps[0].correct) > 8
    assert int(others[0].correct) == 0


@pytest.mark.parametrize("active", ["seen", "experience", "minibatch"])
def test_the_numbers_of_classes_do_not_matter(active, replay, numbered):
    one, other = replay(active=active, l2=0.01), replay(active=active, l2=0.01)
    names = torch.tensor([5, 2, 0, 4, 1, 3])
    with torch.no_grad():
        head, renamed = one.learner.model.output, other.learner.model.output
        renamed.weight[names], renamed.bias[names] = head.weight.clone(), head.bias.clone()

    for k in range(3):
        ours, theirs = numbered(k), numbered(k)
        theirs = replace(theirs, classes=tuple(names[list(ours.classes)].tolist()))
        theirs.train.y.copy_(names[ours.train.y])
        losses = [
            [float(step.loss) for step in s.learn(e)] for s, e in ((one, ours), (other, theirs))
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_plugins_see_what_the_loss_knows(descent_keys, parts_of, numbered):
    seen = []

    class Looking(Plugin):
        def penalty(self, update):
            seen.append((update.masked > MASKED).any(0).tolist())

        def after_experience(self, learnt):
            inputs, y = next(learnt.minibatches(8))
            seen.append((learnt.masked(learnt.forward(inputs), y) > MASKED).any(0).tolist())

        def state_dict(self):
            return {}

    config = Naive.Config(**{**descent_keys, "active": "experience"})
    trained = Naive(config, parts_of(plugins=(Looking(),)))

    learn(trained, numbered(1))

    assert seen == [[False, False, True, True, False, False]] * 4


NAIVE = ("benchmark=digits", "strategy=naive")
REFUSED = {
    "benchmark.scenario=online benchmark.rows_per_experience=10": "scenario=online",
    "benchmark.scenario=ni": "classes occur in more than one experience",
    "benchmark.scenario=blurry benchmark.blur=0.1": "classes occur in more than one experience",
}


@pytest.mark.parametrize("words", REFUSED)
def test_streams_whose_classes_come_back_are_refused_by_their_keys(words):
    with pytest.raises(ConfigError, match=REFUSED[words]) as error:
        clrun.compose([*NAIVE, "strategy.active=experience", *words.split()])

    assert len(str(error.value).splitlines()) == 1
    assert "strategy.active=experience" in str(error.value)


@pytest.mark.parametrize("scenario", ["nc", "ni"])
def test_experiences_with_outputs_of_their_own_have_separate_heads(scenario):
    words = (f"benchmark.scenario={scenario}", "benchmark.labels=per_experience")

    config = clrun.compose([*NAIVE, "strategy.active=experience", *words])

    assert config.nodes["strategy"].config.active == "experience"


def test_a_stream_that_only_its_data_tell_of_is_refused_when_they_are_read():
    x = torch.zeros((4, 4, 4), dtype=torch.uint8)
    pairs = [(x, torch.tensor([0, 1, 0, 1])), (x, torch.tensor([1, 2, 1, 2]))]
    own = Benchmark.of_arrays(pairs, pairs)
    prepared = prepare(clrun.compose(["strategy.active=experience"]), own_benchmark=own)

    with pytest.raises(ConfigError, match="classes occur in more than one experience"):
        _ = prepared.data


def test_a_model_without_an_output_for_each_class_is_refused(descent_keys, reader):
    config = Naive.Config(**{**descent_keys, "active": "experience"})
    shape = StreamShape(channels=1, height=4, width=4, num_classes=6, num_experiences=3)

    with pytest.raises(ConfigError, match="output, the last linear layer of Reader, has 1 outputs"):
        Naive.check(config, reader, shape)
