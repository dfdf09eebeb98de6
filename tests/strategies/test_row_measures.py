"""What policies may know of rows beside their columns, from the policy to a whole run."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clrun.memory.storage_policy import Order
from clrun.memory.table import Table, concatenate
from clrun.strategies.criterion import criterion, row_losses
from clrun.strategies.learner import Learner
from clrun.strategies.replay import Replay
from clrun.strategies.row_measures import measures

CRITERIA = pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
REPLAY_KEYS = {
    "mem_size": 12,
    "mix": "split",
    "memory_mb_size": None,
    "balance": "none",
    "epoch_length": "current",
}


class LargestLoss:
    """Keeps the rows that are known worst, by the weights of the moment when it is asked."""

    def keep(self, held: Table, new: Table, mem_size: int, order: Order) -> Tensor:
        losses = torch.cat([held["loss"], new["loss"]])
        return losses.argsort(descending=True, stable=True)[:mem_size]


def table_of(experience) -> Table:
    x, y = experience.train
    return Table(y, torch.zeros_like(y), torch.zeros(len(y), dtype=torch.float64), {"x": x})


@CRITERIA
def test_the_mean_of_the_rows_losses_is_the_criterion(name):
    rng = torch.Generator().manual_seed(0)
    logits, y = torch.randn(9, 4, generator=rng), torch.randint(4, (9,), generator=rng)

    losses = row_losses(name, logits, y)

    assert losses.shape == (9,)
    torch.testing.assert_close(losses.mean(), criterion(name, logits, y))


@CRITERIA
def test_the_loss_of_rows_is_measured_by_the_weights_of_now(name, descent_keys, parts_of, numbered):
    keys = Replay.Config(
        **{**descent_keys, **REPLAY_KEYS, "criterion": name, "eval_mb_size": 7},
        memory_update="experience",
    )
    learner = Learner(keys, parts_of())
    measure, rows = measures(learner)["loss"], table_of(numbered(0))

    first = measure(rows)
    with torch.no_grad():
        learner.model.output.bias[0] += 1
    second = measure(rows)

    torch.testing.assert_close(second, row_losses(name, learner.predict(rows.x), rows.y))
    assert bool((second != first).all())
    assert len(measure(rows.without_rows())) == 0


@pytest.mark.parametrize("memory_update", ["experience", "minibatch"])
def test_a_policy_keeps_the_rows_of_the_largest_loss_in_a_whole_strategy(
    memory_update, descent_keys, parts_of, numbered
):
    keys = Replay.Config(
        **{**descent_keys, **REPLAY_KEYS, "train_mb_size": 80}, memory_update=memory_update
    )
    strategy = Replay(keys, parts_of(storage_policy=LargestLoss()))

    first, second = numbered(0), numbered(1)
    list(strategy.learn(first))
    before = strategy.memory.exemplars

    list(strategy.learn(second))

    held = strategy.memory.exemplars
    candidates = concatenate([before, table_of(second)])
    losses = row_losses("cross_entropy", strategy.predict(candidates.x), candidates.y)
    worst = losses.argsort(descending=True, stable=True)[:12]
    assert torch.equal(held.x, candidates.x[worst])
    assert torch.equal(held.y, candidates.y[worst])


def test_a_run_that_goes_on_keeps_the_same_rows_by_their_loss(descent_keys, parts_of, numbered):
    keys = Replay.Config(**{**descent_keys, **REPLAY_KEYS}, memory_update="minibatch")
    whole, resumed = (Replay(keys, parts_of(storage_policy=LargestLoss())) for _ in range(2))
    list(whole.learn(numbered(0)))
    resumed.load_state_dict(whole.state_dict())

    for strategy in (whole, resumed):
        list(strategy.learn(numbered(1)))

    assert torch.equal(whole.memory.exemplars.x, resumed.memory.exemplars.x)
    assert torch.equal(whole.memory.exemplars["loss"], resumed.memory.exemplars["loss"])
