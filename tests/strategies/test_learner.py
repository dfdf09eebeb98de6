from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from operations import Operations
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clrun.errors import NonFiniteLoss
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.models.dropout import SeededDropout
from clrun.models.features import evaluating
from clrun.models.macs import forward_macs, training_macs
from clrun.strategies.criterion import criterion
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place
from clrun.strategies.plugin import Learnt, Update
from clrun.strategies.step import Step
from clrun.streams.experience import Experience

HERE = Place(0, 0, 0, 1)


@pytest.fixture
def learner(descent_keys, parts_of, experience):
    """An Learner, its keys changed as given."""

    def make(parts=None, **changes) -> Learner:
        keys = DescentKeys(**{**descent_keys, **changes})
        made = Learner(keys, parts or parts_of())
        made.begin(experience)
        return made

    return make


@pytest.fixture
def experience(numbered) -> Experience:
    return numbered(0, rows=30, classes=[0, 1, 2])


@pytest.fixture
def rows(experience) -> Patterns:
    return experience.train


def step(learner: Learner, rows: Patterns, place: Place, replayed: int = 0) -> Step:
    """One update on all of the rows."""
    logits = learner.forward(learner.inputs(rows.x, place), place)
    return learner.update(learner.loss(logits, rows.y), logits, rows.y, place, replayed)


def parameters(learner: Learner) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in learner.model.named_parameters()}


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Of the mean cross-entropy, at the weights as they are."""
    twin = deepcopy(model)
    cross_entropy(twin(x.float() / 255), y).backward()
    return {name: p.grad for name, p in twin.named_parameters()}


def assert_weights(learner: Learner, expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(parameters(learner), expected, rtol=1e-5, atol=1e-6)


def test_cross_entropy_is_the_mean_of_minus_the_log_of_the_share_of_the_true_class():
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 3, 3, 1, 0])

    loss = criterion("cross_entropy", logits, y)

    slow = 0.0
    for row, true_class in zip(logits.tolist(), y.tolist(), strict=True):
        slow -= math.log(math.exp(row[true_class]) / sum(map(math.exp, row)))
    assert float(loss) == pytest.approx(slow / 7)


def test_binary_cross_entropy_asks_one_question_a_class_and_adds_them_up():
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 3, 3, 1, 0])

    loss = criterion("binary_cross_entropy", logits, y)

    slow = 0.0
    for row, true_class in zip(logits.tolist(), y.tolist(), strict=True):
        for k, logit in enumerate(row):
            yes = 1 / (1 + math.exp(-logit))
            slow -= math.log(yes if k == true_class else 1 - yes)
    assert float(loss) == pytest.approx(slow / 7)


def test_binary_cross_entropy_trains_on_what_the_configuration_asks_for(learner, rows):
    one, other = learner(criterion="binary_cross_entropy"), learner()

    loss, other_loss = step(one, rows, HERE).loss, step(other, rows, HERE).loss

    assert loss > other_loss
    assert float(loss) == pytest.approx(
        float(criterion("binary_cross_entropy", learner().predict(rows.x), rows.y))
    )


def test_sgd_goes_down_the_gradient_and_decays_the_weights(learner, rows):
    trained = learner(lr=0.2, l2=0.05)
    before, gradient = parameters(trained), gradients(trained.model, *rows)

    step(trained, rows, HERE)

    assert_weights(trained, {k: w - 0.2 * (gradient[k] + 0.05 * w) for k, w in before.items()})


def test_sgd_carries_its_momentum_into_the_next_experience(learner, experience, numbered, rows):
    trained = learner(lr=0.2, momentum=0.9)
    first = gradients(trained.model, *rows)
    step(trained, rows, HERE)
    trained.end(experience)
    before, second = parameters(trained), gradients(trained.model, *rows)

    trained.begin(numbered(1))
    step(trained, rows, Place(1, 0, 0, 1))

    assert_weights(trained, {k: w - 0.2 * (second[k] + 0.9 * first[k]) for k, w in before.items()})


def test_the_first_update_of_adam_is_the_learning_rate_in_size(learner, rows):
    trained = learner(optimizer="adam", lr=0.01, l2=0.05)
    before = parameters(trained)
    gradient = {k: g + 0.05 * before[k] for k, g in gradients(trained.model, *rows).items()}

    step(trained, rows, HERE)

    assert_weights(
        trained, {k: w - 0.01 * gradient[k] / (gradient[k].abs() + 1e-8) for k, w in before.items()}
    )


def test_adamw_decays_the_weights_apart_from_the_gradient(learner, rows):
    trained = learner(optimizer="adamw", lr=0.01, l2=0.05)
    before, gradient = parameters(trained), gradients(trained.model, *rows)

    step(trained, rows, HERE)

    assert_weights(
        trained,
        {
            k: w * (1 - 0.01 * 0.05) - 0.01 * gradient[k] / (gradient[k].abs() + 1e-8)
            for k, w in before.items()
        },
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_frozen_layer_stays_bit_identical_whatever_the_weight_decay(
    optimizer, learner, parts_of, rows
):
    parts = parts_of()
    parts.model.features.requires_grad_(False)
    trained = learner(parts, optimizer=optimizer, l2=0.1)
    before = parameters(trained)

    for iteration in range(3):
        step(trained, rows, Place(0, 0, iteration, 3))

    after = parameters(trained)
    assert torch.equal(after["features.1.weight"], before["features.1.weight"])
    assert not torch.equal(after["output.weight"], before["output.weight"])


def test_a_step_reports_the_loss_and_the_hits_before_its_update(learner, rows):
    trained = learner()
    logits = trained.predict(rows.x)

    made = step(trained, rows, Place(0, 2, 3, 5), replayed=4)

    assert float(made.loss) == pytest.approx(float(cross_entropy(logits, rows.y)))
    assert int(made.correct) == int((logits.argmax(1) == rows.y).sum())
    assert not made.loss.requires_grad
    assert made[2:] == (30, 4, 2, 3, 5)


class Shrinking(nn.Module):
    """A plugin that pulls weights to 0 as weight decay does, and notes when it is called."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength, self.called = strength, []
        self.gradient: Tensor | None = None

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        self.model = model
        self.called.append(f"before experience {experience_index}")

    def penalty(self, update: Update) -> Tensor | None:
        self.called.append("penalty")
        if self.strength == 0:
            return None
        return self.strength / 2 * sum(p.square().sum() for p in self.model.parameters())

    def before_update(self, update: Update) -> None:
        self.gradient = self.model.output.weight.grad.clone()
        self.before = self.model.output.weight.detach().clone()
        self.called.append("before update")

    def after_update(self, update: Update) -> None:
        assert not torch.equal(self.before, self.model.output.weight)
        self.called.append("after update")

    def after_experience(self, learnt: Learnt) -> None:
        self.called.append("after experience")


def test_a_plugin_is_called_around_every_update(learner, parts_of, experience, rows):
    plugin = Shrinking(0.0)
    trained = learner(parts_of(plugins=(plugin,)))

    for iteration in range(2):
        step(trained, rows, Place(0, 0, iteration, 2))
    trained.end(experience)

    around = ["penalty", "before update", "after update"]
    assert plugin.called == ["before experience 0", *around, *around, "after experience"]


def test_the_penalties_of_all_plugins_are_added_to_the_loss(learner, parts_of, rows):
    decayed = learner(l2=0.3)
    shrunk = learner(parts_of(plugins=(Shrinking(0.1), Shrinking(0.0), Shrinking(0.2))))

    plain, with_penalty = step(decayed, rows, HERE), step(shrunk, rows, HERE)

    assert_weights(shrunk, parameters(decayed))
    squares = sum(float(p.square().sum()) for p in parameters(learner()).values())
    assert float(with_penalty.loss) == pytest.approx(float(plain.loss) + 0.15 * squares)


def test_plugins_read_true_gradients_although_fp16_losses_are_scaled(learner, parts_of, rows):
    plugin = Shrinking(0.0)
    trained = learner(parts_of(plugins=(plugin,), precision="fp16"))
    expected = gradients(trained.model, *rows)["output.weight"]

    step(trained, rows, HERE)

    torch.testing.assert_close(plugin.gradient, expected, rtol=0.02, atol=1e-4)


def test_an_update_whose_fp16_gradients_overflow_is_skipped(learner, parts_of, rows):
    parts = parts_of(precision="fp16")
    with torch.no_grad():
        parts.model.output.weight.mul_(1000)  # gradients of the layer before grow as much
    trained = learner(parts)
    before, scale = parameters(trained), trained.scaler.get_scale()

    made = step(trained, rows, HERE)

    assert math.isfinite(made.loss)
    assert all(torch.equal(w, before[k]) for k, w in parameters(trained).items())
    assert trained.scaler.get_scale() == scale / 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_weight_follows_a_loss_that_is_not_finite(bad, learner, rows):
    trained = learner()
    before = parameters(trained)
    logits = trained.forward(trained.inputs(rows.x, HERE), HERE)

    with pytest.raises(NonFiniteLoss, match="experience 1, epoch 1, iteration 1"):
        trained.update(trained.loss(logits, rows.y) * bad, logits, rows.y, HERE)

    assert all(torch.equal(w, before[k]) for k, w in parameters(trained).items())


def two_gradients(trained: Learner, rows: Patterns, factor: float) -> list[Tensor]:
    """An update by the mean of two gradients: of `factor` times the loss, and of the loss."""
    inputs, weight, seen = trained.inputs(rows.x, HERE), trained.model.output.weight, []
    for scale in (factor, 1.0):
        logits = trained.forward(inputs, HERE)
        update = trained.prepare(logits, rows.y, HERE)
        trained.gradients(scale * trained.loss(logits, rows.y), update)
        seen.append(weight.grad.clone())
    weight.grad.copy_((seen[0] + seen[1]) / 2)
    trained.apply(update)
    return seen


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_update_may_look_at_more_than_one_gradient(precision, learner, parts_of, rows):
    trained = learner(parts_of(precision=precision))
    expected = gradients(trained.model, *rows)["output.weight"]
    before = parameters(trained)

    earlier, own = two_gradients(trained, rows, 3.0)

    torch.testing.assert_close(earlier, 3 * expected, rtol=0.02, atol=1e-3)
    torch.testing.assert_close(own, expected, rtol=0.02, atol=1e-3)
    moved = before["output.weight"] - trained.model.output.weight
    torch.testing.assert_close(moved, trained.keys.lr * (earlier + own) / 2, rtol=0.01, atol=1e-5)
    step(trained, rows, HERE._replace(iteration=1))  # and the scaler is ready for the next


def test_an_overflow_in_an_earlier_gradient_skips_the_update(learner, parts_of, rows):
    trained = learner(parts_of(precision="fp16"))
    before, scale = parameters(trained), trained.scaler.get_scale()

    earlier, own = two_gradients(trained, rows, 1e6)

    assert not earlier.isfinite().all()
    assert own.isfinite().all()
    assert all(torch.equal(w, before[k]) for k, w in parameters(trained).items())
    assert trained.scaler.get_scale() == scale / 2


@pytest.fixture(params=["augmentation", "dropout"])
def first_loss(request, learner, parts_of, rows):
    """(place, seed) -> the loss there from always the same weights on always the same rows."""

    def loss(place: Place, seed: int) -> float:
        parts = parts_of(seed=seed, transform=Transform((0.0,), (1.0,), "crop_flip"))
        if request.param == "dropout":
            parts = parts_of(seed=seed)
            parts.model.features.append(SeededDropout(0.5))
        return float(step(learner(parts), rows, place).loss)

    return loss


def test_what_is_random_in_an_update_follows_from_the_seed_and_the_place(first_loss):
    places = [HERE, Place(1, 0, 0, 1), Place(0, 1, 0, 1), Place(0, 0, 1, 1)]

    here, again, *elsewhere = [first_loss(place, seed=0) for place in (HERE, *places)]
    other_seed = first_loss(HERE, seed=1)

    assert here == again
    assert len({here, other_seed, *elsewhere}) == 5


@pytest.mark.parametrize("training", [True, False])
def test_predicting_leaves_every_layer_in_its_mode(training, learner, parts_of, rows):
    parts = parts_of()
    trained = learner(parts)
    parts.model.train(training)
    parts.model.features[1].eval()

    logits = trained.predict(rows.x)

    assert logits.shape == (30, 6)
    assert [m.training for m in (parts.model, parts.model.features[1])] == [training, False]


def test_a_new_experience_puts_the_model_into_training_mode(learner, parts_of, numbered):
    parts = parts_of()
    parts.model.eval()

    learner(parts).begin(numbered(1))

    assert all(module.training for module in parts.model.modules())


def test_features_of_no_named_layer_are_what_the_head_is_given(learner, parts_of, rows):
    parts = parts_of()
    trained = learner(parts)

    features = trained.extract(rows.x, None)

    torch.testing.assert_close(features, parts.model.features(rows.x.float() / 255).detach())


def test_predictions_are_made_without_passes_for_normalisation(learner, parts_of, rows):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), norm, nn.Flatten(), nn.Linear(12, 6))
    made = learner(parts_of(model=model))
    step(made, rows, HERE)
    made.predict(rows.x)  # the first time it is compared with the model itself

    with Operations() as seen:
        logits = made.predict(rows.x)

    assert any("convolution" in name for name in seen.names)
    assert not any("batch_norm" in name for name in seen.names)
    with torch.no_grad(), evaluating(model):
        inputs = made.parts.transform.evaluation(rows.x)
        torch.testing.assert_close(logits, model(inputs), rtol=1e-5, atol=1e-5)


def dropping(parts_of):
    """Parts whose model has a layer of dropout before its head."""
    parts = parts_of()
    parts.model.features.append(SeededDropout(0.5))
    return parts


def test_passes_of_one_update_have_different_dropout_and_the_first_is_that_of_a_single_one(
    learner, parts_of, rows
):
    trained, other = learner(dropping(parts_of)), learner(dropping(parts_of))
    inputs = trained.inputs(rows.x, HERE)

    first, second = trained.forward(inputs, HERE), trained.forward(inputs, HERE)

    assert not torch.equal(first, second)
    assert torch.equal(first, other.forward(inputs, HERE))


def test_the_next_update_draws_its_dropout_from_its_place_alone(learner, parts_of, rows):
    once, twice = learner(dropping(parts_of), lr=1e-9), learner(dropping(parts_of), lr=1e-9)
    again = Place(0, 0, 0, 1)

    step(once, rows, HERE)
    twice.forward(twice.inputs(rows.x, HERE), HERE)
    step(twice, rows, HERE)
    losses = [step(trained, rows, again).loss for trained in (once, twice)]

    torch.testing.assert_close(*losses)


def test_rows_given_twice_in_an_update_are_augmented_differently(learner, parts_of, rows):
    parts = parts_of(transform=Transform((0.0,), (1.0,), "crop_flip"))
    trained = learner(parts)

    first, second = trained.inputs(rows.x, HERE), trained.inputs(rows.x, HERE)

    assert not torch.equal(first, second)
    assert torch.equal(first, learner(parts).inputs(rows.x, HERE))


def test_gradients_can_be_changed_before_they_are_applied(learner, rows):
    trained = learner(lr=0.2)
    before, gradient = parameters(trained), gradients(trained.model, *rows)

    logits = trained.forward(trained.inputs(rows.x, HERE), HERE)
    update = trained.prepare(logits, rows.y, HERE)
    loss = trained.gradients(trained.loss(logits, rows.y), update)
    for parameter in trained.model.parameters():
        parameter.grad.mul_(-2)
    trained.apply(update)

    assert_weights(trained, {k: w + 0.4 * gradient[k] for k, w in before.items()})
    assert update.step(loss)[2:] == (30, 0, 0, 0, 1)


def test_features_are_what_the_head_is_given_in_evaluation_mode(learner, parts_of, rows):
    parts = dropping(parts_of)
    trained = learner(parts)

    features = trained.features(rows.x)

    expected = parts.model.features[:3](rows.x.float() / 255).detach()
    torch.testing.assert_close(features, expected)
    assert not features.requires_grad


class Noisy(nn.Module):
    """Draws in evaluation too, from a generator that is not its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + torch.rand(len(x), 1, 1, 1))


@pytest.mark.parametrize("read", ["features", "extract"])
def test_features_of_a_module_that_draws_are_the_same_each_time(read, learner, parts_of, rows):
    trained = learner(parts_of(model=Noisy(parts_of().model)))

    def found() -> Tensor:
        return trained.features(rows.x) if read == "features" else trained.extract(rows.x, None)

    assert torch.equal(found(), found())


def test_a_snapshot_stays_as_the_model_was_and_is_restored_with_the_state(learner, rows):
    trained, resumed = learner(), learner()
    inputs, before = trained.inputs(rows.x, HERE), trained.predict(rows.x)
    assert trained.previous is None

    trained.snapshot()
    step(trained, rows, HERE)
    resumed.load_state_dict(deepcopy(trained.state_dict()))

    assert torch.equal(trained.previous(inputs), before)
    assert torch.equal(resumed.previous(inputs), before)
    assert torch.equal(resumed.predict(rows.x), trained.predict(rows.x))
    assert not torch.equal(trained.predict(rows.x), before)


def test_a_state_without_a_snapshot_takes_one_away(learner):
    trained = learner()
    trained.snapshot()

    trained.load_state_dict(deepcopy(learner().state_dict()))

    assert trained.previous is None


def pulled() -> SimpleNamespace:
    """Two numbers, of which one learns."""
    return SimpleNamespace(
        free=nn.Parameter(torch.tensor(2.0)), frozen=nn.Parameter(torch.tensor(3.0), False)
    )


def follow(trained: Learner, loss: Tensor) -> float:
    """The loss that was followed, penalties included."""
    update = trained.prepare(torch.zeros(1, 6), torch.zeros(1, dtype=torch.int64), HERE)
    total = trained.gradients(loss, update)
    trained.apply(update)
    return float(total)


def test_an_update_follows_the_gradient_of_what_learns_alone(learner):
    p, trained = pulled(), learner(l2=0.5)
    trained.start(vars(p).values(), lr=0.1)

    loss = follow(trained, p.free * p.frozen)

    assert loss == 6
    assert p.free.item() == pytest.approx(2 - 0.1 * (3 + 0.5 * 2))
    assert p.frozen.item() == 3


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_new_start_forgets_the_momentum(learner, optimizer):
    def moved(*, again: bool) -> float:
        p = pulled()
        trained = learner(optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)
        trained.start([p.free], lr=0.1)
        follow(trained, p.free * 1)
        if again:
            trained.start([p.free], lr=0.1)
        before = p.free.item()
        follow(trained, p.free * -1)
        return p.free.item() - before

    assert moved(again=True) == pytest.approx(0.1, rel=0.02)
    assert moved(again=False) < 0.05


def test_a_faster_parameter_takes_steps_so_many_times_as_large(learner):
    slow, fast = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))
    trained = learner()
    trained.start([slow, fast], lr=0.1, faster=[fast], factor=3.0)

    follow(trained, slow + fast)

    assert (slow.item(), fast.item()) == pytest.approx((0.9, 0.7))


def test_a_saved_learner_goes_on_with_its_momentum(learner, rows):
    whole, resumed = learner(momentum=0.9), learner(momentum=0.9)
    step(whole, rows, HERE)
    resumed.load_state_dict(deepcopy(whole.state_dict()))

    step(whole, rows, HERE)
    step(resumed, rows, HERE)

    assert parameters(whole)["output.weight"].equal(parameters(resumed)["output.weight"])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_moves_weights_as_its_plain_form_but_for_rounding(learner, name):
    start = torch.linspace(-1, 1, 50)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    trained = learner(optimizer=name, l2=0.01)
    trained.start([ours], lr=0.01)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    plain = kind([theirs], 0.01, weight_decay=0.01, foreach=False)

    for _ in range(20):
        follow(trained, (ours * start.cos()).sin().sum())
        plain.zero_grad()
        (theirs * start.cos()).sin().sum().backward()
        plain.step()

    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_every_pass_of_the_model_is_counted_and_the_count_is_saved(learner, parts_of, rows):
    parts = parts_of()
    image = rows.x.shape[1:]
    whole, forward = training_macs(parts.model, image), forward_macs(parts.model, image)
    counting = learner(replace(parts, pattern_macs=whole))

    step(counting, rows, HERE)
    counting.snapshot()
    counting.previous(counting.inputs(rows.x[:4], HERE))

    assert counting.train_macs == 30 * whole + 4 * forward
    again = learner(replace(parts_of(), pattern_macs=whole))
    again.load_state_dict(counting.state_dict())
    assert again.train_macs == counting.train_macs


def test_what_nobody_counted_has_no_number(learner, rows):
    uncounted = learner()

    step(uncounted, rows, HERE)

    assert uncounted.train_macs is None


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("tricks", [True, False])
def test_a_state_saved_in_another_memory_order_goes_on_with_its_own_weights(
    learner, parts_of, optimizer, tricks
):
    def made() -> Learner:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 2), nn.Flatten())
        parts = parts_of(model=model.to(memory_format=torch.channels_last), tricks=tricks)
        momentum = 0.9 if optimizer == "sgd" else 0.0
        return learner(parts, optimizer=optimizer, lr=0.01, momentum=momentum)

    def update(trained: Learner) -> None:
        x = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        logits = trained.forward(x, HERE)
        y = torch.arange(8) % 6
        trained.update(trained.loss(logits, y), logits, y, HERE)

    whole, resumed = made(), made()
    update(whole)
    saved = deepcopy(whole.state_dict())
    for state in saved["optimizer"]["state"].values():
        state |= {k: v.contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}

    resumed.load_state_dict(saved)
    update(whole), update(resumed)

    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("key", "kept"), [("keep", True), ("fresh", False)])
def test_an_experience_begins_with_the_momentum_of_the_last_or_with_none(
    learner, numbered, rows, key, kept
):
    made = learner(momentum=0.9, optimizer_state=key)
    step(made, rows, HERE)
    made.end(numbered(0))

    made.begin(numbered(1))

    assert bool(made.optimizer.state) == kept


def test_a_fresh_optimizer_is_not_made_anew_where_an_experience_is_continued(
    learner, numbered, rows
):
    keys = {"momentum": 0.9, "optimizer_state": "fresh"}
    whole, resumed = learner(**keys), learner(**keys)
    whole.end(numbered(0))
    whole.begin(numbered(1))
    step(whole, rows, HERE)

    resumed.load_state_dict(deepcopy(whole.state_dict()))
    resumed.begin(numbered(1))
    step(whole, rows, HERE), step(resumed, rows, HERE)

    assert resumed.optimizer.state
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_mean_penalty_of_an_experience_is_among_the_vitals(learner, parts_of, rows):
    trained = learner(parts_of(plugins=(Shrinking(0.1), Shrinking(0.2))))
    sums = []
    for iteration in range(2):
        squared = sum(float(p.detach().square().sum()) for p in trained.model.parameters())
        sums.append((0.1 + 0.2) / 2 * squared)
        step(trained, rows, HERE._replace(iteration=iteration, iterations=2))

    assert trained.vitals()["penalties"] == {"Shrinking": pytest.approx(sum(sums) / 2)}


def test_vitals_are_those_of_one_experience_and_part_of_the_state(
    learner, parts_of, rows, numbered
):
    trained, again = (learner(parts_of(plugins=(Shrinking(0.1),))) for _ in "ab")
    step(trained, rows, HERE)

    again.load_state_dict(deepcopy(trained.state_dict()))
    assert again.vitals() == trained.vitals()
    assert trained.vitals()["penalties"]["Shrinking"] > 0

    trained.end(numbered(0))
    trained.begin(numbered(1))
    assert trained.vitals() == {"penalties": {"Shrinking": None}}


def test_without_plugins_there_are_no_vitals(learner, rows):
    trained = learner()
    step(trained, rows, HERE)

    assert trained.vitals() == {}
