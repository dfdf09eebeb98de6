"""The head after an experience, against what is written out by hand."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

import clrun
from clrun.config.option_file import read_option
from clrun.config.sources import options
from clrun.errors import ConfigError
from clrun.memory.storage_policy import ClassBalancedStoragePolicy
from clrun.runner.prepare import prepare
from clrun.strategies.head_correction import PULL, fitted
from clrun.strategies.naive import Naive
from clrun.strategies.replay import Replay
from clrun.strategies.strategy import Ahead, expected_updates

REPLAY = {
    "mem_size": 60,
    "mix": "add",
    "memory_mb_size": 8,
    "balance": "none",
    "epoch_length": "current",
    "memory_update": "experience",
}
BY_CLASS = ClassBalancedStoragePolicy(
    ClassBalancedStoragePolicy.Config(adaptive_size=True, total_num_classes=None)
)


@pytest.fixture
def naive(descent_keys, parts_of):
    def make(**changes) -> Naive:
        return Naive(Naive.Config(**{**descent_keys, **changes}), parts_of())

    return make


@pytest.fixture
def replay(descent_keys, parts_of, recording):
    def make(**changes) -> Replay:
        parts = parts_of(transform=recording, storage_policy=BY_CLASS)
        return Replay(Replay.Config(**{**descent_keys, **REPLAY, **changes}), parts)

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def head(strategy) -> tuple[Tensor, Tensor]:
    output = strategy.learner.model.output
    return output.weight.detach().clone(), output.bias.detach().clone()


def mean_norm(weight: Tensor, rows: list[int]) -> float:
    return sum(float(weight[k].square().sum()) ** 0.5 for k in rows) / len(rows)


def test_new_rows_are_as_long_as_the_old_ones_on_average(naive, numbered):
    aligned, plain = naive(head_correction="wa", lr=0.5), naive(lr=0.5)
    for strategy in (aligned, plain):
        learn(strategy, numbered(0, classes=[0, 4]))
    first = head(aligned), head(plain)
    for strategy in (aligned, plain):
        learn(strategy, numbered(1, classes=[4, 2]))

    (weight, bias), (trained, offset) = head(aligned), head(plain)

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*first, strict=True))
    factor = mean_norm(trained, [0, 4]) / mean_norm(trained, [2])
    assert abs(factor - 1) > 0.05
    torch.testing.assert_close(weight[2], factor * trained[2])
    torch.testing.assert_close(bias[2], factor * offset[2])
    others = [0, 1, 3, 4, 5]
    assert torch.equal(weight[others], trained[others])
    assert torch.equal(bias[others], offset[others])
    assert aligned.vitals()["head_correction"]["scale"] == pytest.approx(factor, rel=1e-5)
    assert plain.vitals() == {}


def of_a_biased_head(rows: int = 90) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of six classes, the last two too high and too wide; uneven numbers of rows."""
    rng = torch.Generator().manual_seed(0)
    y = torch.randint(6, (rows,), generator=rng)
    y[: rows // 3] = 0
    logits = 2 * torch.nn.functional.one_hot(y, 6) + torch.randn(rows, 6, generator=rng)
    logits = logits.double()
    logits[:, 4:] = 2.5 * logits[:, 4:] + 1.5
    return logits, y, torch.arange(6) > 3


def balanced_loss(logits: Tensor, y: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """The mean over classes of the mean loss of their rows, and the pull."""
    corrected = torch.cat([logits[:, :4], alpha * logits[:, 4:] + beta], 1)
    own = [torch.stack([z.logsumexp(0) - z[k] for z in corrected[y == k]]).mean() for k in range(6)]
    return torch.stack(own).mean() + PULL / 2 * ((alpha - 1) ** 2 + beta**2)


def test_alpha_and_beta_are_at_the_minimum_of_the_loss():
    logits, y, is_new = of_a_biased_head()

    found = [
        torch.tensor(v, dtype=torch.float64).requires_grad_() for v in fitted(logits, y, is_new)
    ]

    gradients = torch.autograd.grad(balanced_loss(logits, y, *found), found)
    assert max(abs(float(g)) for g in gradients) < 1e-9
    alpha, beta = (float(v.detach()) for v in found)
    assert 0.5 < alpha < 0.95
    assert beta < -0.3


def test_rows_that_are_all_told_apart_have_a_minimum_too():
    y = torch.arange(6).repeat(5)
    logits = 50 * torch.nn.functional.one_hot(y, 6).double()

    alpha, beta = fitted(logits, y, torch.arange(6) > 3)

    assert (alpha, beta) == pytest.approx((1, 0), abs=0.1)


def test_the_correction_is_written_into_the_head(replay, numbered):
    strategy = replay(head_correction="bic", lr=0.3)
    learn(strategy, numbered(0))
    correction, x = strategy.learner.correction, numbered(1).test.x
    before = {}

    def correct(new):
        before["logits"] = strategy.predict(x)
        type(correction)._correct(correction, new)

    correction._correct = correct
    learn(strategy, numbered(1))

    alpha, beta = correction.found["alpha"], correction.found["beta"]
    logits, after = before["logits"], strategy.predict(x)
    assert abs(alpha - 1) > 0.01
    torch.testing.assert_close(after[:, 2:4], alpha * logits[:, 2:4] + beta)
    others = [0, 1, 4, 5]
    torch.testing.assert_close(after[:, others], logits[:, others])


@pytest.mark.parametrize("memory_update", ["experience", "minibatch"])
def test_what_is_held_out_is_never_trained_on(memory_update, replay, numbered, recording):
    strategy = replay(head_correction="bic", memory_update=memory_update, train_epochs=2)
    held_out = set()

    for k in range(3):
        for _ in strategy.learn(numbered(k)):
            rows = strategy.learner.correction.held_out.all
            held_out |= set(zip(rows.experience.tolist(), numbers(rows.x), strict=True))
        rows = strategy.learner.correction.held_out.rows
        assert torch.bincount(rows.y).tolist() == [6 // (2 * k + 2)] * (2 * k + 2)
        assert strategy.memory_rows()["rows"] <= 60
        assert strategy.memory_rows()["per_class"][0] == int(
            (strategy.memory.exemplars.y == 0).sum() + (rows.y == 0).sum()
        )

    trained = {number for minibatch in recording.minibatches for number in minibatch}
    assert len(held_out) == 6 + 6 + 2
    assert not trained & {number for _, number in held_out}
    assert len(trained) == 240 - len(held_out)


def numbers(x: Tensor) -> list[int]:
    return (x[:, 0, 0, 0].long() * 256 + x[:, 0, 0, 1].long()).tolist()


def test_the_updates_of_what_is_left_are_counted(replay, parts_of, numbered):
    strategy, stream = replay(head_correction="bic", train_mb_size=37), [*map(numbered, range(3))]
    ahead = Ahead(
        labels=[e.train.y for e in stream],
        image_shape=(1, 4, 4),
        seed=0,
        storage_policy=BY_CLASS,
        model=nn.Module,
    )

    made = [len(learn(strategy, e)) for e in stream]

    assert expected_updates(Replay, strategy.config, ahead) == made == [2, 2, 3]


def fits_bic(name: str) -> bool:
    module, _, strategy = read_option("strategy", name).target.partition(":")
    return getattr(getattr(import_module(module), strategy).Config, "fits_bic", False)


@pytest.mark.parametrize("name", [o.name for o in options("strategy") if fits_bic(o.name)])
def test_whatever_may_be_corrected_on_held_out_rows_holds_some_out(name, trial):
    words = ("strategy.mem_size=100", "benchmark.limit_per_class=20", "strategy.train_epochs=1")
    strategy, stream, _ = trial(name, *words, "strategy.head_correction=bic")

    learn(strategy, *stream[:2])

    held_out = strategy.learner.correction.held_out.rows
    assert torch.bincount(held_out.y).tolist() == [2] * 4
    assert len(strategy.memory) <= 90
    assert strategy.vitals()["head_correction"]["alpha"] != 1


def test_a_head_corrected_on_held_out_rows_calls_fewer_old_rows_new(trial):
    def newest(*words: str) -> float:
        """The share of test rows of old classes called a newest one, after three experiences."""
        biased = ("strategy.mix=add", "strategy.memory_mb_size=2", "strategy.mem_size=100")
        strategy, stream, _ = trial("replay", "strategy.train_epochs=3", *biased, *words)
        learn(strategy, *stream[:3])
        answers = torch.cat([strategy.predict(e.test.x).argmax(1) for e in stream[:2]])
        return float(torch.isin(answers, torch.tensor(stream[2].classes)).double().mean())

    assert newest("strategy.head_correction=bic") < newest() / 2


REFUSED = {
    "strategy=naive strategy.head_correction=bic": "holds out no rows of a memory",
    "strategy=lwf strategy.head_correction=bic": "holds out no rows of a memory",
    "strategy=ar1 strategy.head_correction=wa": "strategy.head=cwr_star corrects the head",
    "strategy=replay strategy.mem_size=50 strategy.head_correction=bic": "5 rows for 10 classes",
    "strategy=replay model=mobilenet_v1 strategy.head_correction=bic": "has no bias",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_corrected_is_refused_in_a_line(words):
    with pytest.raises(ConfigError, match=REFUSED[words]) as error:
        prepare(clrun.compose(["benchmark=digits", "device=cpu", *words.split()]))

    assert len(str(error.value).splitlines()) == 1
