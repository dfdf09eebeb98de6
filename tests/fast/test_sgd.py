from __future__ import annotations

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from clrun.fast.sgd import SGD

UPDATES = 8


def network(memory_format: torch.memory_format = torch.contiguous_format) -> nn.Sequential:
    layers = (nn.Conv2d(3, 7, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7 * 36, 33), nn.Linear(33, 5))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(*layers).apply(reset).to(memory_format=memory_format)


def reset(module: nn.Module) -> None:
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()


def groups(model: nn.Module, lr: float) -> list[dict[str, object]]:
    *body, weight, bias = model.parameters()
    return [{"params": body}, {"params": [weight, bias], "lr": lr}]


def descend(model: nn.Module, optimizer: SGD | torch.optim.SGD, updates: range) -> None:
    for update in updates:
        rng = torch.Generator().manual_seed(update)
        x, y = torch.randn(6, 3, 8, 8, generator=rng), torch.randint(5, (6,), generator=rng)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("l2", [0.0, 5e-4])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weights_are_those_of_torch_bit_for_bit(momentum, l2, memory_format):
    ours, theirs = network(memory_format), network(memory_format)
    ours_sgd = SGD(groups(ours, 0.1), 0.02, momentum=momentum, weight_decay=l2)
    torchs_sgd = torch.optim.SGD(groups(theirs, 0.1), 0.02, momentum=momentum, weight_decay=l2)

    descend(ours, ours_sgd, range(UPDATES))
    descend(theirs, torchs_sgd, range(UPDATES))

    assert torch.equal(weights(ours), weights(theirs))


def test_states_can_be_exchanged_with_torch_both_ways():
    whole = network()
    descend(whole, torch.optim.SGD(groups(whole, 0.1), 0.02, momentum=0.9), range(UPDATES))
    model = network()
    first = SGD(groups(model, 0.1), 0.02, momentum=0.9)
    descend(model, first, range(3))

    second = torch.optim.SGD(groups(model, 0.5), 0.5)
    second.load_state_dict(deepcopy(first.state_dict()))
    descend(model, second, range(3, 5))
    third = SGD(groups(model, 0.5), 0.5, momentum=0.1)
    third.load_state_dict(deepcopy(second.state_dict()))
    descend(model, third, range(5, UPDATES))

    assert torch.equal(weights(model), weights(whole))


def test_a_velocity_saved_in_another_memory_order_is_put_where_it_belongs():
    model, plain = network(torch.channels_last), network()
    sgd, of_plain = (SGD(groups(m, 0.1), 0.02, momentum=0.9) for m in (model, plain))
    descend(plain, of_plain, range(2))
    model.load_state_dict(plain.state_dict())

    sgd.load_state_dict(of_plain.state_dict())
    descend(model, sgd, range(2, 4))
    descend(plain, of_plain, range(2, 4))

    torch.testing.assert_close(weights(model), weights(plain))


def test_a_parameter_without_a_gradient_stays_where_it_is():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    sgd = SGD([{"params": [used, unused]}], 0.5, momentum=0.9, weight_decay=0.1)

    used.sum().backward()
    sgd.step()

    assert unused.tolist() == [1, 1]
    assert used.tolist() == pytest.approx([1 - 0.5 * 1.1] * 2)


@pytest.mark.parametrize("overflows", [False, True])
def test_a_scaled_loss_moves_the_weights_as_the_loss_would_or_not_at_all(overflows):
    parameter = nn.Parameter(torch.full((3,), 2.0))
    sgd = SGD([{"params": [parameter]}], 0.5, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    for _ in range(2):
        loss = (parameter * (torch.inf if overflows else 1.0)).sum()
        sgd.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(sgd)
        scaler.update()

    moved = 0 if overflows else 0.5 * (1 + 1.9)
    assert parameter.tolist() == pytest.approx([2 - moved] * 3)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda sgd: torch.optim.lr_scheduler.StepLR(sgd, step_size=2, gamma=0.5),
        lambda sgd: torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=UPDATES),
    ],
    ids=["step", "cosine"],
)
def test_a_schedule_of_torch_gives_the_bits_that_it_gives_with_torchs_sgd(schedule):
    found = []
    for kind in (SGD, torch.optim.SGD):
        model = network()
        sgd = kind(groups(model, 0.1), 0.02, momentum=0.9)
        rates = schedule(sgd)
        for update in range(UPDATES):
            descend(model, sgd, range(update, update + 1))
            rates.step()
        found.append(weights(model))

    assert torch.equal(*found)


def test_it_is_an_optimizer_whose_groups_have_torchs_keys_and_whose_hooks_are_called():
    parameter, calls = nn.Parameter(torch.ones(1)), []
    ours, torchs = SGD([parameter], 0.5, momentum=0.9), torch.optim.SGD([parameter], 0.5)
    ours.register_step_post_hook(lambda optimizer, *_: calls.append(optimizer))

    parameter.grad = torch.ones(1)
    ours.step()

    assert isinstance(ours, torch.optim.Optimizer)
    assert ours.param_groups[0].keys() == torchs.param_groups[0].keys()
    assert calls == [ours]
    assert parameter.item() == 0.5


def test_a_closure_is_called_before_the_update_with_gradients():
    parameter = nn.Parameter(torch.ones(1))
    sgd = SGD([parameter], 0.5)

    def closure() -> float:
        loss = (3 * parameter).sum()
        loss.backward()
        return loss.item()

    assert sgd.step(closure) == 3
    assert parameter.item() == 1 - 0.5 * 3


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_are_dropped_or_filled_with_zeros(to_none):
    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)

    SGD([parameter], 0.5).zero_grad(set_to_none=to_none)

    assert parameter.grad is None if to_none else parameter.grad.item() == 0


@pytest.mark.parametrize("key", ["nesterov", "maximize"])
def test_a_state_of_another_descent_is_refused(key):
    parameter = nn.Parameter(torch.ones(1))
    other = torch.optim.SGD([parameter], 0.5, momentum=0.9, **{key: True})

    with pytest.raises(ValueError, match=f"{key}=True: only torch.optim.SGD"):
        SGD([parameter], 0.5).load_state_dict(other.state_dict())


def test_a_state_of_other_parameters_is_refused():
    one, two = ([nn.Parameter(torch.ones(1)) for _ in range(n)] for n in (1, 2))

    with pytest.raises(ValueError, match="parameter group"):
        SGD(one, 0.5).load_state_dict(SGD(two, 0.5).state_dict())


LIFE = """
import sys, torch
from clrun.fast.sgd import SGD

parameter = torch.nn.Parameter(torch.ones(1))
sgd = SGD([parameter], 0.5, momentum=0.9)
schedule = torch.optim.lr_scheduler.StepLR(sgd, 1)
sgd.zero_grad()
parameter.sum().backward()
sgd.step()
schedule.step()
sgd.load_state_dict(sgd.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""


def test_no_method_imports_pytorchs_compiler():
    done = subprocess.run([sys.executable, "-c", LIFE], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr


def test_velocities_lie_in_one_vector_until_one_is_exchanged(monkeypatch):
    ours, theirs = ([nn.Parameter(torch.ones(n, 2)) for n in (3, 1, 4)] for _ in range(2))
    pairs = [
        (ours, SGD(ours, 0.1, momentum=0.9)),
        (theirs, torch.optim.SGD(theirs, 0.1, momentum=0.9)),
    ]
    one_by_one = []
    multiply = torch._foreach_mul_
    monkeypatch.setattr(
        "clrun.fast.sgd.torch._foreach_mul_",
        lambda *given: one_by_one.append(len(given[0])) or multiply(*given),
    )

    for update in range(4):
        if update == 2:
            state = pairs[0][1].state[ours[1]]
            state["momentum_buffer"] = state["momentum_buffer"].clone()
        for parameters, optimizer in pairs:
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, 0.3 * (update + 1))
            optimizer.step()

    assert [len(each) for each in (one_by_one, ours)] == [2, 3]
    assert all(map(torch.equal, ours, theirs))
