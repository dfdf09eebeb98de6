import io
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from clrun.errors import ConfigError
from clrun.models.batch_renorm import BatchRenorm2D
from clrun.strategies.plugin import Plugin
from clrun.strategies.synaptic_intelligence import SynapticIntelligence


def si(ewc_lambda: float = 1.0, **changes) -> SynapticIntelligence:
    return SynapticIntelligence(SynapticIntelligence.Config(ewc_lambda=ewc_lambda, **changes))


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3)
        )


def update(model, plugin: Plugin, optimizer, *, seed: int) -> torch.Tensor | None:
    """One update on random patterns; the penalty before it."""
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.randn(16, 4, generator=rng), torch.randint(3, (16,), generator=rng)
    loss, penalty = cross_entropy(model(x), y), plugin.penalty()
    optimizer.zero_grad()
    (loss if penalty is None else loss + penalty).backward()
    plugin.before_update()
    optimizer.step()
    plugin.after_update()
    return penalty


def learn(model, plugin: Plugin, *, index: int, updates=range(5)) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plugin.before_experience(model, index)
    for i in updates:
        update(model, plugin, optimizer, seed=100 * index + i)
    plugin.after_experience()


def assert_same(state: dict, other: dict) -> None:
    """The same experience and names, and the same bits."""
    assert (state["experience"], state["names"]) == (other["experience"], other["names"])
    for key in ("reference", "trajectory", "cumulative"):
        torch.testing.assert_close(state[key], other[key], rtol=0, atol=0)


class OneWeight:
    """The worked example: w = 1, squared error of w * x, SGD with learning rate 0.1."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.model.weight)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.plugin = si(2.0)
        self.weights: list[float] = []
        self.trajectories: list[float] = []
        self.losses: list[float] = []

    def learn(self, index: int, patterns: list[tuple[float, float]]) -> None:
        self.plugin.before_experience(self.model, index)
        for x, y in patterns:
            loss = (self.model(torch.tensor([[float(x)]])) - y).square().mean()
            penalty = self.plugin.penalty()
            loss = loss if penalty is None else loss + penalty
            self.optimizer.zero_grad()
            loss.backward()
            self.plugin.before_update()
            self.optimizer.step()
            self.plugin.after_update()
            self.losses.append(loss.item())
            self.weights.append(self.model.weight.item())
            self.trajectories.append(self.plugin.trajectory.item())
        self.plugin.after_experience()


def test_the_worked_example_of_the_first_experience():
    example = OneWeight()

    example.learn(0, [(1, 3), (1, 3), (2, 1)])

    assert example.weights == pytest.approx([1.4, 1.72, 0.744], abs=1e-6)
    assert example.trajectories == pytest.approx([-1.6, -2.624, -12.14976], abs=1e-5)
    assert example.plugin.cumulative["weight"].item() == pytest.approx(-185.3904, abs=1e-4)
    assert example.plugin.importance["weight"].item() == pytest.approx(0.001)
    assert example.plugin.reference.item() == pytest.approx(0.744, abs=1e-6)


def test_the_worked_example_of_the_second_experience():
    example = OneWeight()
    example.learn(0, [(1, 3), (1, 3), (2, 1)])

    example.learn(1, [(1, 0), (1, 0)])

    assert example.weights[3:] == pytest.approx([0.5952, 0.4761898], abs=1e-7)
    assert example.losses[4] == pytest.approx(0.3542852, abs=1e-7)
    assert example.losses[4] - 0.3542630 == pytest.approx(2.22e-5, abs=1e-7)
    assert example.trajectories[3:] == pytest.approx([-0.2214144, -0.3630488], abs=1e-6)
    assert example.plugin.cumulative["weight"].item() == pytest.approx(-190.4523, abs=1e-4)


def test_nothing_is_added_to_the_loss_of_the_first_experience():
    model, plugin = network(), si()

    plugin.before_experience(model, 0)

    assert plugin.penalty() is None


def test_with_lambda_zero_nothing_is_ever_added():
    model, plugin = network(), si(0.0)
    learn(model, plugin, index=0)

    plugin.before_experience(model, 1)

    assert plugin.penalty() is None


def test_from_the_second_experience_the_penalty_grows_from_zero_with_distance():
    model, plugin = network(), si()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learn(model, plugin, index=0)
    plugin.before_experience(model, 1)

    penalties = [update(model, plugin, optimizer, seed=i).item() for i in range(2)]

    assert penalties[0] == 0
    assert penalties[1] > 0


def test_the_penalty_is_the_weighted_squared_distance_and_pulls_back():
    model, plugin = network(), si(3.0)
    learn(model, plugin, index=0)
    plugin.before_experience(model, 1)
    model[3].weight.data += 0.5
    model.zero_grad()

    penalty = plugin.penalty()
    penalty.backward()

    importance = plugin.importance["3.weight"].view(8, 8)
    torch.testing.assert_close(penalty.detach(), 3.0 / 2 * (importance * 0.25).sum())
    torch.testing.assert_close(model[3].weight.grad, 3.0 * importance * 0.5)
    assert importance.max() > 0


def test_the_curvature_is_that_of_the_weight_held_most():
    model, plugin = network(), si(3.0, clip=0.5)
    assert plugin.curvature() == 0
    learn(model, plugin, index=0)
    plugin.before_experience(model, 1)

    assert plugin.curvature() == pytest.approx(
        3.0 * max(v.max() for v in plugin.importance.values())
    )


def test_a_strong_penalty_keeps_important_parameters_closer():
    def distance(ewc_lambda: float) -> float:
        model, plugin = network(), si(ewc_lambda, clip=1.0)
        learn(model, plugin, index=0)
        start = plugin.reference.clone()
        learn(model, plugin, index=1, updates=range(30))
        return (plugin.reference - start).norm().item()

    assert distance(10.0) < 0.9 * distance(0.0)


def test_importances_lie_between_zero_and_clip_whatever_the_updates_did():
    model, plugin = nn.Linear(3, 1, bias=False), si(clip=0.01)
    plugin.before_experience(model, 0)
    model.weight.grad = torch.tensor([[2.0, 2.0, 0.002]])

    plugin.before_update()
    model.weight.data += torch.tensor([[0.5, -0.5, -0.5]])  # uphill, downhill, a little downhill
    plugin.after_update()
    plugin.after_experience()

    assert plugin.cumulative["weight"].tolist() == pytest.approx([4.0, -4.0, -0.004], rel=1e-4)
    assert plugin.importance["weight"].tolist() == pytest.approx([0.0, 0.01, 0.004], rel=1e-4)


@pytest.mark.parametrize(("clamp", "later"), [("use", -4.0), ("experience", 0.0)])
def test_what_is_clipped_after_an_experience_is_forgotten_for_good(clamp, later):
    model, plugin = nn.Linear(1, 1, bias=False), si(clip=0.01, clamp=clamp)

    def learn(gradient: float) -> None:
        plugin.before_experience(model, 0)
        model.weight.grad = torch.tensor([[gradient]])
        plugin.before_update()
        model.weight.data -= 0.5
        plugin.after_update()
        plugin.after_experience()

    learn(2.0)  # downhill by far: -4
    assert plugin.importance["weight"].item() == pytest.approx(0.01)
    learn(-0.002)  # a little uphill: +0.004
    learn(-0.002)
    learn(-0.002)

    expected = 0.0 if clamp == "experience" else 0.01
    assert plugin.importance["weight"].item() == pytest.approx(expected, abs=1e-6)
    sums = plugin.cumulative["weight"].item()
    assert sums == pytest.approx(later + (0.012 if clamp == "use" else 0), rel=1e-4)


def test_importances_clamped_after_each_experience_lie_between_zero_and_clip():
    model, plugin = network(), si(clip=0.01, clamp="experience")

    for index in range(3):
        learn(model, plugin, index=index)

    sums = torch.cat(list(plugin.cumulative.values()))
    assert (sums.min(), sums.max()) == (pytest.approx(-0.01), 0)


def test_parameters_of_normalisation_layers_and_excluded_ones_are_left_out():
    class FancyLayer(nn.GroupNorm):
        pass

    class NormalizedLinear(nn.Linear):
        """By its name a normalisation, by its type what has to be regularised."""

    norms = [nn.BatchNorm1d(2), nn.LayerNorm(2), nn.RMSNorm(2), FancyLayer(1, 2), BatchRenorm2D(2)]
    model = nn.Sequential(nn.Linear(2, 2), *norms, nn.InstanceNorm1d(2, affine=True))
    model.add_module("normalized", NormalizedLinear(2, 2))
    model.add_module("output", nn.Linear(2, 2))
    plugin = si(exclude=["output", "*.bias"])

    plugin.before_experience(model, 0)
    plugin.before_update()
    plugin.after_update()
    plugin.after_experience()

    assert list(plugin.cumulative) == ["0.weight", "normalized.weight"]


def test_an_excluded_name_that_does_not_exist_is_refused():
    plugin = si(exclude=["0", "wieght"])

    with pytest.raises(ConfigError, match=r"exclude=wieght: no parameter .* Did you mean"):
        plugin.before_experience(nn.Sequential(nn.Linear(2, 2)), 0)


def test_a_parameter_frozen_from_the_second_experience_gains_no_importance():
    model, plugin = network(), si()
    learn(model, plugin, index=0)
    model[0].requires_grad_(False)
    frozen = plugin.cumulative["0.weight"].clone()
    free = plugin.cumulative["3.weight"].clone()

    learn(model, plugin, index=1)

    assert torch.equal(plugin.cumulative["0.weight"], frozen)
    assert not torch.equal(plugin.cumulative["3.weight"], free)


def test_a_parameter_that_thaws_is_held_by_what_it_gained_before():
    model, plugin = network(), si()
    learn(model, plugin, index=0)
    model[0].requires_grad_(False)
    learn(model, plugin, index=1)
    model[0].requires_grad_(True)
    plugin.before_experience(model, 2)
    model[0].weight.data += 1.0

    penalty = plugin.penalty()

    assert penalty.item() == pytest.approx(plugin.importance["0.weight"].sum().item() / 2, rel=1e-4)


def test_a_stale_gradient_of_a_parameter_frozen_inside_an_experience_does_not_count():
    model, plugin = network(), si()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plugin.before_experience(model, 0)
    update(model, plugin, optimizer, seed=0)
    before = plugin.trajectory.clone()
    model[0].requires_grad_(False)  # its gradient of the last update is still there

    plugin.before_update()
    model[0].weight.data += 1.0
    plugin.after_update()

    assert model[0].weight.grad is not None
    assert torch.equal(plugin.trajectory, before)


def test_a_parameter_without_a_gradient_does_not_count():
    model, plugin = network(), si()
    plugin.before_experience(model, 0)

    plugin.before_update()
    model[0].weight.data += 1.0
    plugin.after_update()

    assert plugin.trajectory.eq(0).all()


def test_the_gradient_is_that_of_the_loss_even_if_the_optimizer_overwrites_it():
    model, plugin = nn.Linear(1, 1, bias=False), si()
    nn.init.ones_(model.weight)
    plugin.before_experience(model, 0)
    model.weight.grad = torch.full((1, 1), 2.0)

    plugin.before_update()
    model.weight.grad.fill_(99.0)  # as SGD with Nesterov momentum does
    model.weight.data -= 0.5
    plugin.after_update()

    assert plugin.trajectory.item() == -1.0


def test_an_update_skipped_for_its_infinite_gradients_does_not_count():
    model, plugin = nn.Linear(1, 1, bias=False), si()
    plugin.before_experience(model, 0)
    model.weight.grad = torch.full((1, 1), float("inf"))

    plugin.before_update()
    plugin.after_update()

    assert plugin.trajectory.item() == 0


def test_no_buffer_shares_memory_with_the_model():
    model, plugin = network(), si()
    learn(model, plugin, index=0)
    plugin.before_experience(model, 1)
    state = plugin.state_dict()
    reference = plugin.reference.clone()

    for parameter in model.parameters():
        parameter.data.fill_(7.0)

    assert torch.equal(plugin.reference, reference)
    assert torch.equal(state["reference"], reference)


def test_a_single_parameter_is_copied_too():
    model, plugin = nn.Linear(3, 1, bias=False), si()

    plugin.before_experience(model, 0)

    assert plugin.reference.data_ptr() != model.weight.data_ptr()


def test_a_saved_state_does_not_change_afterwards():
    model, plugin = network(), si()
    learn(model, plugin, index=0)
    state = plugin.state_dict()
    before = deepcopy(state)

    learn(model, plugin, index=1)

    assert_same(state, before)


@pytest.mark.parametrize("clamp", ["use", "experience"])
@pytest.mark.parametrize("stop", [0, 2, 5])
def test_continuing_from_a_saved_state_gives_the_same_bits(stop, clamp):
    model, plugin = network(), si(clip=1.0, clamp=clamp)
    learn(model, plugin, index=0)
    whole_model, whole_plugin = deepcopy(model), si(clip=1.0, clamp=clamp)
    whole_plugin.load_state_dict(plugin.state_dict())
    learn(whole_model, whole_plugin, index=1)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plugin.before_experience(model, 1)
    for i in range(stop):
        update(model, plugin, optimizer, seed=100 + i)
    file = io.BytesIO()
    torch.save(plugin.state_dict(), file)
    file.seek(0)
    continued = si(clip=1.0, clamp=clamp)
    continued.load_state_dict(torch.load(file, weights_only=True))
    learn(model, continued, index=1, updates=range(stop, 5))

    torch.testing.assert_close(model.state_dict(), whole_model.state_dict(), rtol=0, atol=0)
    assert_same(continued.state_dict(), whole_plugin.state_dict())


def test_a_model_with_nothing_to_regularise_gets_no_penalty():
    model, plugin = nn.Sequential(nn.BatchNorm1d(2)), si()

    plugin.before_experience(model, 0)
    plugin.before_update()
    plugin.after_update()
    plugin.after_experience()
    plugin.before_experience(model, 1)

    assert plugin.penalty() is None
