from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clrun.images.transforms import Transform
from clrun.models.dropout import SeededDropout
from clrun.models.features import evaluating
from clrun.strategies.shared_keys import SharedKeys
from clrun.strategies.step import START, Position
from clrun.strategies.updater import Place, Updater, criterion

HERE = Place(0, START, 1)


@pytest.fixture
def updater(shared_keys, parts_of):
    """An Updater, its keys changed as given."""

    def make(parts=None, **changes) -> Updater:
        keys = SharedKeys(**{**shared_keys, **changes})
        made = Updater(keys, parts or parts_of())
        made.begin(0)
        return made

    return make


@pytest.fixture
def rows(numbered) -> tuple[Tensor, Tensor]:
    x, y = numbered(0, rows=30, classes=[0, 1, 2]).train
    return x, y


def parameters(updater: Updater) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in updater.model.named_parameters()}


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Of the mean cross-entropy, at the weights as they are."""
    twin = deepcopy(model)
    cross_entropy(twin(x.float() / 255), y).backward()
    return {name: p.grad for name, p in twin.named_parameters()}


def assert_weights(updater: Updater, expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(parameters(updater), expected, rtol=1e-5, atol=1e-6)


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


def test_binary_cross_entropy_trains_on_what_the_configuration_asks_for(updater, rows):
    one, other = updater(criterion="binary_cross_entropy"), updater()

    loss, other_loss = one.step(*rows, HERE).loss, other.step(*rows, HERE).loss

    assert loss > other_loss
    assert float(loss) == pytest.approx(
        float(criterion("binary_cross_entropy", updater().predict(rows[0]), rows[1]))
    )


def test_sgd_goes_down_the_gradient_and_decays_the_weights(updater, rows):
    trained = updater(lr=0.2, l2=0.05)
    before, gradient = parameters(trained), gradients(trained.model, *rows)

    trained.step(*rows, HERE)

    assert_weights(trained, {k: w - 0.2 * (gradient[k] + 0.05 * w) for k, w in before.items()})


def test_sgd_carries_its_momentum_into_the_next_experience(updater, rows):
    trained = updater(lr=0.2, momentum=0.9)
    first = gradients(trained.model, *rows)
    trained.step(*rows, HERE)
    trained.end()
    before, second = parameters(trained), gradients(trained.model, *rows)

    trained.begin(1)
    trained.step(*rows, Place(1, START, 1))

    assert_weights(trained, {k: w - 0.2 * (second[k] + 0.9 * first[k]) for k, w in before.items()})


def test_the_first_update_of_adam_is_the_learning_rate_in_size(updater, rows):
    trained = updater(optimizer="adam", lr=0.01, l2=0.05)
    before = parameters(trained)
    gradient = {k: g + 0.05 * before[k] for k, g in gradients(trained.model, *rows).items()}

    trained.step(*rows, HERE)

    assert_weights(
        trained, {k: w - 0.01 * gradient[k] / (gradient[k].abs() + 1e-8) for k, w in before.items()}
    )


def test_adamw_decays_the_weights_apart_from_the_gradient(updater, rows):
    trained = updater(optimizer="adamw", lr=0.01, l2=0.05)
    before, gradient = parameters(trained), gradients(trained.model, *rows)

    trained.step(*rows, HERE)

    assert_weights(
        trained,
        {
            k: w * (1 - 0.01 * 0.05) - 0.01 * gradient[k] / (gradient[k].abs() + 1e-8)
            for k, w in before.items()
        },
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_frozen_layer_stays_bit_identical_whatever_the_weight_decay(
    optimizer, updater, parts_of, rows
):
    parts = parts_of()
    parts.model.features.requires_grad_(False)
    trained = updater(parts, optimizer=optimizer, l2=0.1)
    before = parameters(trained)

    for iteration in range(3):
        trained.step(*rows, Place(0, Position(0, iteration), 3))

    after = parameters(trained)
    assert torch.equal(after["features.1.weight"], before["features.1.weight"])
    assert not torch.equal(after["output.weight"], before["output.weight"])


def test_a_step_tells_the_loss_and_the_hits_before_its_update(updater, rows):
    trained = updater()
    logits = trained.predict(rows[0])

    step = trained.step(*rows, Place(0, Position(2, 3), 5), replayed=4)

    assert float(step.loss) == pytest.approx(float(cross_entropy(logits, rows[1])))
    assert int(step.correct) == int((logits.argmax(1) == rows[1]).sum())
    assert not step.loss.requires_grad
    assert step[2:] == (30, 4, 2, 3, 5)


class Shrinking(nn.Module):
    """A plugin that pulls weights to 0 as weight decay does, and notes when it is called."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength, self.called = strength, []
        self.gradient: Tensor | None = None

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        self.model = model
        self.called.append(f"before experience {experience_index}")

    def penalty(self) -> Tensor | None:
        self.called.append("penalty")
        if self.strength == 0:
            return None
        return self.strength / 2 * sum(p.square().sum() for p in self.model.parameters())

    def before_update(self) -> None:
        self.gradient = self.model.output.weight.grad.clone()
        self.before = self.model.output.weight.detach().clone()
        self.called.append("before update")

    def after_update(self) -> None:
        assert not torch.equal(self.before, self.model.output.weight)
        self.called.append("after update")

    def after_experience(self) -> None:
        self.called.append("after experience")


def test_a_plugin_is_called_around_every_update(updater, parts_of, rows):
    plugin = Shrinking(0.0)
    trained = updater(parts_of(plugins=(plugin,)))

    for iteration in range(2):
        trained.step(*rows, Place(0, Position(0, iteration), 2))
    trained.end()

    around = ["penalty", "before update", "after update"]
    assert plugin.called == ["before experience 0", *around, *around, "after experience"]


def test_the_penalties_of_all_plugins_are_added_to_the_loss(updater, parts_of, rows):
    decayed = updater(l2=0.3)
    shrunk = updater(parts_of(plugins=(Shrinking(0.1), Shrinking(0.0), Shrinking(0.2))))

    plain, with_penalty = decayed.step(*rows, HERE), shrunk.step(*rows, HERE)

    assert_weights(shrunk, parameters(decayed))
    squares = sum(float(p.square().sum()) for p in parameters(updater()).values())
    assert float(with_penalty.loss) == pytest.approx(float(plain.loss) + 0.15 * squares)


def test_plugins_read_true_gradients_although_fp16_losses_are_scaled(updater, parts_of, rows):
    plugin = Shrinking(0.0)
    trained = updater(parts_of(plugins=(plugin,), precision="fp16"))
    expected = gradients(trained.model, *rows)["output.weight"]

    trained.step(*rows, HERE)

    torch.testing.assert_close(plugin.gradient, expected, rtol=0.02, atol=1e-4)


def test_an_update_whose_fp16_gradients_overflow_is_skipped(updater, parts_of, rows):
    parts = parts_of(precision="fp16")
    with torch.no_grad():
        parts.model.output.weight.mul_(1000)  # gradients of the layer before grow as much
    trained = updater(parts)
    before, scale = parameters(trained), trained.descent.scaler.get_scale()

    step = trained.step(*rows, HERE)

    assert math.isfinite(step.loss)
    assert all(torch.equal(w, before[k]) for k, w in parameters(trained).items())
    assert trained.descent.scaler.get_scale() == scale / 2


@pytest.fixture(params=["augmentation", "dropout"])
def first_loss(request, updater, parts_of, rows):
    """(place, seed) -> the loss there from always the same weights on always the same rows."""

    def loss(place: Place, seed: int) -> float:
        parts = parts_of(seed=seed, transform=Transform((0.0,), (1.0,), "crop_flip"))
        if request.param == "dropout":
            parts = parts_of(seed=seed)
            parts.model.features.append(SeededDropout(0.5))
        return float(updater(parts).step(*rows, place).loss)

    return loss


def test_what_is_random_in_an_update_follows_from_the_seed_and_the_place(first_loss):
    places = [HERE, Place(1, START, 1), Place(0, Position(1, 0), 1), Place(0, Position(0, 1), 1)]

    here, again, *elsewhere = [first_loss(place, seed=0) for place in (HERE, *places)]
    other_seed = first_loss(HERE, seed=1)

    assert here == again
    assert len({here, other_seed, *elsewhere}) == 5


@pytest.mark.parametrize("training", [True, False])
def test_predicting_leaves_every_layer_in_its_mode(training, updater, parts_of, rows):
    parts = parts_of()
    trained = updater(parts)
    parts.model.train(training)
    parts.model.features[1].eval()

    logits = trained.predict(rows[0])

    assert logits.shape == (30, 6)
    assert [m.training for m in (parts.model, parts.model.features[1])] == [training, False]


def test_a_new_experience_puts_the_model_into_training_mode(updater, parts_of):
    parts = parts_of()
    parts.model.eval()

    updater(parts).begin(1)

    assert all(module.training for module in parts.model.modules())


def test_features_of_no_named_layer_are_what_the_head_is_given(updater, parts_of, rows):
    parts = parts_of()
    trained = updater(parts)

    features = trained.extract(rows[0], None)

    torch.testing.assert_close(features, parts.model.features(rows[0].float() / 255).detach())


def test_predictions_are_made_without_passes_for_normalisation(updater, parts_of, rows):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), norm, nn.Flatten(), nn.Linear(12, 6))
    made = updater(parts_of(model=model))
    made.step(*rows, HERE)
    seen = []
    norm.register_forward_hook(lambda *_: seen.append("norm"))

    logits = made.predict(rows[0])

    assert not seen
    with torch.no_grad(), evaluating(model):
        inputs = made.parts.transform.evaluation(rows[0])
        torch.testing.assert_close(logits, model(inputs), rtol=1e-5, atol=1e-5)
