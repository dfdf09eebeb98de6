"""A model's forward pass in evaluation mode: folded where that is the same, else itself."""

from __future__ import annotations

import logging
import threading
from typing import Any, cast

import pytest
import torch
from torch import Tensor, fx, nn

import clrun
from clrun.errors import ClrunError
from clrun.fast.evaluating_form import COMPARED, EvaluatingForm, evaluating_form
from clrun.fast.folding import FoldedConv, folded
from clrun.models.cut import evaluation_graph
from clrun.models.slim_resnet18 import SlimResNet18
from clrun.runner.prepare import build
from clrun.streams.experience import StreamShape

TOLERANCE = 1e-5
"""Share of the largest value: scaling weights instead of the result rounds differently."""


def lived_in(model: nn.Module) -> nn.Module:
    """With statistics, scales and shifts that are not those of a new model, in evaluation mode."""
    rng = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            values = [*module.parameters(), module.running_mean, module.running_var]
            for value in values:
                value.data.copy_(torch.rand(value.shape, generator=rng) + 0.5)
    return model.eval()


def images() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


def slim() -> SlimResNet18:
    torch.manual_seed(0)
    shape = StreamShape(channels=3, height=16, width=16, num_classes=5, num_experiences=1)
    model = SlimResNet18(SlimResNet18.Config(width=4, pretrained=False), shape)
    return cast(SlimResNet18, lived_in(model))


def form_of(model: nn.Module) -> tuple[EvaluatingForm, list[nn.Module]]:
    """With the folded models that it made callable."""
    made: list[nn.Module] = []

    def runnable(form: nn.Module) -> nn.Module:
        made.append(form)
        return form

    return EvaluatingForm(model, model, runnable, evaluation_graph), made


def test_a_residual_network_evaluates_as_its_separate_layers_do() -> None:
    model, x = slim(), images()
    form, made = form_of(model)

    ours = form(x)

    assert_close(ours, model(x))
    folds = [m for m in made[0].modules() if isinstance(m, FoldedConv)]
    assert len(folds) == len([m for m in model.modules() if isinstance(m, nn.Conv2d)])
    assert sum(fold.relu for fold in folds) == 9  # the stem's, and one in each of eight blocks


def test_evaluation_sees_what_was_learnt_since() -> None:
    model, x = slim(), images()
    form, made = form_of(model)
    before = form(x)

    model.train()(images())
    with torch.no_grad():
        model.layer1[0].conv1.conv.weight.mul_(1.5)
    model.eval()
    after = form(x)

    assert_close(after, model(x))
    assert not torch.equal(after, before)
    assert len(made) == 1


def test_evaluation_sees_a_layer_that_took_another_s_place() -> None:
    model, x = slim(), images()
    form, made = form_of(model)
    form(x)

    model.output = nn.Linear(model.output.in_features, 7)

    assert_close(form(x), model(x))
    assert len(made) == 2


class Choosy(nn.Module):
    """Looks at its data before it decides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return y if y.sum() > 0 else -y


@pytest.mark.parametrize("model", [Choosy(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())])
def test_a_model_that_cannot_be_folded_evaluates_itself(model: nn.Module) -> None:
    form, made = form_of(model.eval())

    assert torch.equal(form(images()), model(images()))
    assert not made


class Heads(nn.Module):
    """A shared part, and the head that an attribute names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.heads = nn.ModuleList([nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)])
        self.scale = nn.Parameter(torch.ones(1))
        self.current = 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.heads[self.current](self.norm(self.conv(x))) * self.scale
        return -y if self.training else y


def test_evaluation_follows_an_attribute_that_decides() -> None:
    model, x = lived_in(Heads()), images()
    form, _ = form_of(model)
    first = form(x)

    model.current = 1

    assert_close(form(x), model(x))
    assert not torch.equal(form(x), first)


def test_evaluation_follows_a_parameter_that_was_exchanged() -> None:
    model, x = lived_in(Heads()), images()
    form, _ = form_of(model)
    form(x)

    model.scale = nn.Parameter(torch.full((1,), 3.0))

    assert_close(form(x), model(x))


def test_a_model_is_traced_as_it_evaluates() -> None:
    model, x = lived_in(Heads()).train(), images()
    graph = evaluation_graph(model)
    assert graph is not None

    model.eval()

    assert_close(folded(graph, tricks=True)(x), model(x))


def test_without_tricks_a_model_evaluates_itself() -> None:
    model = slim()
    device = build(clrun.compose(["device=cpu", "device.tricks=off"]).nodes["device"])

    assert evaluating_form(model, model, device, evaluation_graph) is model


class Net(nn.Module):
    """A convolution to fold, before what subclasses do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Any:
        return self.norm(self.conv(x))


class AsksForTensors(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * 2 if isinstance(x, Tensor) else y


class OtherForOne(Net):
    """For a single image it computes something else, where a trace does not look."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * 2 if isinstance(x, Tensor) and len(x) == 1 else y


class Counting(Net):
    def __init__(self) -> None:
        super().__init__()
        self.calls, self.last = 0, None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Keeping(Net):
    """Keeps what it computed for others to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Any = None

    def forward(self, x: Tensor) -> Tensor:
        self.kept = super().forward(x)
        return self.kept


class Hooked(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_forward_hook(lambda _layer, _inputs, output: output * 2)


class Huge(Net):
    def __init__(self) -> None:
        super().__init__()
        self.table = list(range(100_000))


class Uncopiable(Net):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (AsksForTensors, "folding its convolutions gives other numbers"),
        (Counting, "its forward pass changes what it reads"),
        (Keeping, "its forward pass changes what it reads"),
        (Hooked, "hooks are called for its layers"),
        (Huge, "Huge.table holds too much to look through"),
        (Uncopiable, "it cannot be copied (cannot pickle"),
    ],
)
def test_where_folding_would_not_do_the_model_evaluates_itself_and_says_why(make, reason, caplog):
    model = lived_in(make())
    form, made = form_of(model)

    with caplog.at_level(logging.WARNING):
        ours = form(images())

    assert torch.equal(ours, model(images()))
    assert not made
    (line,) = caplog.messages
    assert line.startswith(f"{make.__name__} is evaluated layer by layer, which is slower: ")
    assert reason in line


class Interrupting(Net):
    """Stands for a signal that arrives while it is copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise ClrunError("interrupted")


def test_who_interrupts_the_copying_is_no_obstacle():
    form, _ = form_of(lived_in(Interrupting()))

    with pytest.raises(ClrunError, match="interrupted"):
        form(images())


def test_a_model_s_calls_are_counted_as_it_counts_them():
    model = lived_in(Counting())
    form, _ = form_of(model)

    for _ in range(3):
        form(images())

    assert cast(Counting, model).calls == 3


def test_a_hook_is_called_as_often_as_the_model_is():
    model, seen = lived_in(Net()), []
    cast(Net, model).conv.register_forward_hook(lambda *_: seen.append(1))
    form, _ = form_of(model)

    for _ in range(3):
        form(images())

    assert len(seen) == 3


def test_the_forms_are_compared_again_for_a_minibatch_of_another_kind(caplog):
    model = lived_in(OtherForOne())
    form, made = form_of(model)
    form(images())
    assert made

    ours = form(images()[:1])

    assert torch.equal(ours, model(images()[:1]))
    assert "gives other numbers" in caplog.text


def test_few_rows_tell_whether_the_forms_agree(monkeypatch):
    rows = []

    def watched(graph: fx.GraphModule, *, tricks: bool) -> nn.Module:
        form = folded(graph, tricks=tricks)
        form.register_forward_pre_hook(lambda _module, args: rows.append(len(args[0])))
        return form

    monkeypatch.setattr("clrun.fast.evaluating_form.folded", watched)
    form, _ = form_of(slim())

    form(images().repeat(9, 1, 1, 1))

    assert rows == [COMPARED, 27]


def test_comparing_draws_nothing_from_the_global_generator():
    form, _ = form_of(lived_in(Net()))
    before = torch.get_rng_state()

    form(images())

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.conv.register_forward_hook(lambda *given: given[2] * 2),
        lambda model: model.scales.append(2.0),
        lambda model: model.by_name.update(shift=1.0),
        lambda model: setattr(model, "tensor", torch.full((1,), 3.0)),
        lambda model: setattr(model.config, "scale", 5.0),
    ],
)
def test_evaluation_follows_what_is_changed_from_outside(change):
    class Options:
        scale = 1.0

    class Reading(Net):
        def __init__(self) -> None:
            super().__init__()
            self.scales, self.by_name, self.tensor = [1.0], {"shift": 0.0}, torch.ones(1)
            self.config = Options()

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x) * sum(self.scales) + self.by_name["shift"]
            return y * self.tensor * self.config.scale

    model = lived_in(Reading())
    form, _ = form_of(model)
    first = form(images())

    change(model)

    assert_close(form(images()), model(images()))
    assert not torch.equal(form(images()), first)
