from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, MultiStepLR

from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.naive import Naive
from clrun.strategies.places import Place
from clrun.strategies.schedule import rate

UPDATES = 7
"""in each of five epochs"""
COSINE = {"schedule": "cosine"}
STEP = {"schedule": "step", "schedule_milestones": [2, 4], "schedule_factor": 0.2}


@pytest.fixture
def rates(descent_keys):
    """(changed keys) -> the rates of all updates of an experience of five epochs."""

    def of(**changes) -> list[float]:
        keys = DescentKeys(**{**descent_keys, "train_epochs": 5, **changes})
        places = [Place(1, e, i, UPDATES) for e in range(5) for i in range(UPDATES)]
        return [rate(keys, place) for place in places]

    return of


def by_pytorch(make, steps: int) -> list[float]:
    """The rates of a schedule of PyTorch's, of which `make` builds one for an optimizer."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_a_constant_step_size_stays(rates):
    assert rates() == [1.0] * 35


def test_a_cosine_is_pytorchs_over_the_updates_of_the_experience(rates):
    expected = by_pytorch(lambda optimizer: CosineAnnealingLR(optimizer, T_max=35), 35)

    assert rates(**COSINE) == pytest.approx(expected)


def cut_rates(descent_keys, in_all: int, **changes) -> list[float]:
    """The rates of an experience of so many updates, whose last epoch is cut."""
    keys = DescentKeys(**{**descent_keys, "train_iterations": in_all, **changes})
    starts = range(0, in_all, UPDATES)
    epochs = [(e, before, min(UPDATES, in_all - before)) for e, before in enumerate(starts)]
    return [rate(keys, Place(1, e, i, n, before)) for e, before, n in epochs for i in range(n)]


@pytest.mark.parametrize("in_all", [3, 14, 17])
def test_a_cosine_ends_with_the_updates_of_the_experience(in_all, descent_keys):
    expected = by_pytorch(lambda optimizer: CosineAnnealingLR(optimizer, T_max=in_all), in_all)

    assert cut_rates(descent_keys, in_all, **COSINE) == pytest.approx(expected)


def test_milestones_count_updates_where_an_experience_does(descent_keys):
    changes = {**STEP, "schedule_milestones": [5, 16]}
    expected = by_pytorch(lambda optimizer: MultiStepLR(optimizer, [5, 16], gamma=0.2), 17)

    assert cut_rates(descent_keys, 17, **changes) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"over after strategy.train_iterations=16"):
        cut_rates(descent_keys, 16, **changes)


def test_restarts_are_pytorchs_after_an_epoch_at_a_tenth(rates):
    expected = by_pytorch(
        lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 1, T_mult=2, eta_min=0.01), 4
    )

    found = rates(schedule="restarts")

    assert found[::UPDATES] == pytest.approx([0.1, *expected])
    assert found == [found[i - i % UPDATES] for i in range(len(found))]


def test_steps_are_pytorchs_over_its_epochs(rates):
    expected = by_pytorch(lambda optimizer: MultiStepLR(optimizer, [2, 4], gamma=0.2), 5)

    assert rates(**STEP)[::UPDATES] == pytest.approx(expected)
    assert len(set(rates(**STEP)[: 2 * UPDATES])) == 1


@pytest.fixture
def naive(descent_keys, parts_of):
    def make(**changes) -> Naive:
        keys = {**descent_keys, "train_epochs": 5, **changes}
        return Naive(Naive.Config(**keys), parts_of())

    return make


def weights(strategy: Naive) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in strategy.learner.model.parameters()])


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", [COSINE, STEP])
def test_the_optimizer_takes_steps_of_the_scheduled_size(schedule, optimizer, naive, numbered):
    constant = naive(optimizer=optimizer, lr=0.01)
    scheduled = naive(optimizer=optimizer, lr=0.01, **schedule)
    first, other = constant.learn(numbered(0)), scheduled.learn(numbered(0))
    next(first), next(other)
    assert torch.equal(weights(constant), weights(scheduled))  # the first update has rate 1

    sizes = []
    for step in other:
        sizes.append(scheduled.learner.optimizer.param_groups[0]["lr"])
        place = Place(0, step.epoch, step.iteration, step.iterations)
        assert sizes[-1] == 0.01 * rate(scheduled.config, place)
    list(first)

    assert sizes[-1] < 0.002
    assert not torch.equal(weights(constant), weights(scheduled))


def test_each_experience_begins_with_the_whole_step_size(naive, numbered):
    strategy = naive(**COSINE)
    list(strategy.learn(numbered(0)))

    next(strategy.learn(numbered(1)))

    assert strategy.learner.optimizer.param_groups[0]["lr"] == 0.1


def test_a_faster_head_stays_as_much_faster(descent_keys, parts_of, numbered):
    strategy = Naive(Naive.Config(**{**descent_keys, "train_epochs": 5, **STEP}), parts_of())
    model = strategy.learner.model
    head = list(model.output.parameters())
    strategy.learner.start(model.parameters(), 0.1, faster=head, factor=3.0)

    list(strategy.learn(numbered(0)))

    rates = [group["lr"] for group in strategy.learner.optimizer.param_groups]
    assert rates == pytest.approx([0.1 * 0.04, 0.3 * 0.04])


@pytest.mark.parametrize("schedule", [COSINE, STEP])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_run_has_the_step_sizes_of_the_whole_one(schedule, optimizer, naive, numbered):
    whole, resumed = (naive(optimizer=optimizer, lr=0.01, **schedule) for _ in range(2))
    learning = whole.learn(numbered(0))
    for _ in range(5):
        step = next(learning)
    resumed.load_state_dict(deepcopy(whole.state_dict()))

    rest, again = list(learning), list(resumed.learn(numbered(0), step.following))

    assert [float(s.loss) for s in again] == [float(s.loss) for s in rest]
    assert torch.equal(weights(resumed), weights(whole))
