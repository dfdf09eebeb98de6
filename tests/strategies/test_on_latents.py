"""Strategies above a frozen layer: what they learn, store and answer, and what stays as it was."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from comparing_runs import leaves
from making_sweeps import written_sweep
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

import clrun
from clrun.config.option_file import read_option
from clrun.config.run_config import RunConfig
from clrun.config.schema import config_class
from clrun.config.sources import options
from clrun.errors import ConfigError
from clrun.models.cut import cut
from clrun.models.macs import forward_macs, training_macs
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import Prepared, all_notes, prepare
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.drawing import is_foreign, may_draw
from clrun.strategies.naive import Naive
from clrun.strategies.on_latents import OnLatents, Stacked, suited
from clrun.strategies.shared_latents import SharedLatents
from clrun.strategies.step import Step
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Experience, merged
from clrun.sweep.prefix import units
from clrun.sweep.record import SweepOptions

OPTIONS = [option.name for option in options("strategy")]
CUT = "features.relu0"
SMALL = (
    *(
        "device=cpu",
        "device.threads=1",
        "benchmark.limit_per_class=12",
        "benchmark.n_experiences=2",
    ),
    *("model=cnn", "model.channels=[4,6]", "model.norm=batch", "benchmark.class_order=fixed"),
    *("strategy.train_epochs=2", "strategy.train_mb_size=16", "strategy.lr=0.05"),
)
ROW = 4 * 8 * 8
"""Numbers of a latent of the digits, 8x8 pixels with 4 channels."""
SI = "strategy.plugins=[{name: si, ewc_lambda: 100}]"
KINDS = {
    "naive": ("strategy=naive", SI),
    "replay": ("strategy=replay", "strategy.mem_size=20"),
    "replay online": (
        *("strategy=replay", "strategy.mem_size=20", "strategy.memory_update=minibatch"),
        *("storage_policy=reservoir", SI),
    ),
    "replay herding": (
        *("strategy=replay", "strategy.mem_size=20", "storage_policy=class_balanced"),
        "selection=herding",
    ),
    "replay bic": ("strategy=replay", "strategy.mem_size=100", "strategy.head_correction=bic"),
    "er_ace": ("strategy=er_ace", "strategy.mem_size=20"),
    "der": ("strategy=der", "strategy.mem_size=20"),
    "lwf": ("strategy=lwf",),
    "cumulative": ("strategy=cumulative",),
    "joint": ("strategy=joint",),
    "scr": ("strategy=scr", "strategy.view=crop_flip"),
}


@cache
def composed(*words: str) -> RunConfig:
    return clrun.compose([*SMALL, *words])


def on_latents() -> list[str]:
    """The options that a latent layer can be given to."""
    targets = {name: read_option("strategy", name).target for name in OPTIONS}
    found = {name: config_class(target) for name, target in targets.items()}
    return [n for n, c in found.items() if issubclass(c, DescentKeys) and not c.cuts_itself]


class Made:
    """A strategy as a run makes it, with its model and stream."""

    def __init__(self, *words: str, by_hand: bool = False, **parts: Any) -> None:
        config = composed(*words) if by_hand else composed(*words, f"strategy.latent_layer={CUT}")
        self.prepared: Prepared = prepare(config)
        self.model = self.prepared.model
        if by_hand:
            frozen_by_hand(self.model, CUT)
        self.strategy: Strategy = made_strategy(self.prepared, **parts)
        benchmark = self.prepared.data
        whole = self.strategy.whole_stream
        self.stream: Sequence[Experience] = [merged(benchmark)] if whole else list(benchmark)

    def learn(self, experiences: Iterable[Experience] | None = None) -> list[Step]:
        chosen = self.stream if experiences is None else experiences
        return [step for experience in chosen for step in self.strategy.learn(experience)]

    def logits(self) -> Tensor:
        return torch.cat([self.strategy.predict(e.test.x) for e in self.prepared.data])

    @property
    def lower(self) -> nn.Module:
        assert isinstance(self.strategy, OnLatents)
        return self.strategy.cut.lower


def frozen_by_hand(model: nn.Module, layer: str) -> None:
    """Freeze a model up to a layer, so that not even `model.train()` wakes it."""
    for module in cut(model, layer).lower.modules():
        module.requires_grad_(False).eval()
        module.train = partial(lambda self, mode=True: self, module)  # type: ignore[method-assign]


def losses(steps: Iterable[Step]) -> list[float]:
    return [float(step.loss) for step in steps]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "scr"])  # its views differ
def test_what_is_learnt_is_what_the_whole_model_learns_with_its_lower_part_frozen(kind):
    above, whole = Made(*KINDS[kind]), Made(*KINDS[kind], by_hand=True)

    steps, expected = above.learn(), whole.learn()

    assert [step[2:] for step in steps] == [step[2:] for step in expected]
    assert_close(losses(steps), losses(expected), rtol=1e-3, atol=1e-4)
    assert_close(above.logits(), whole.logits(), rtol=1e-3, atol=1e-3)
    assert_close(above.model.state_dict(), whole.model.state_dict(), rtol=1e-3, atol=1e-3)
    held, images = above.strategy.memory_rows(), whole.strategy.memory_rows()
    assert {**held, "bytes": 0} == {**images, "bytes": 0}


@pytest.mark.parametrize("name", on_latents())
def test_the_lower_part_keeps_every_bit_and_what_is_above_learns(name):
    made = Made(*KINDS.get(name, (f"strategy={name}",)))
    before = deepcopy(made.model.state_dict())
    below = set(made.lower.state_dict())

    made.learn(made.stream[:2])
    made.logits()

    after = made.model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert below
    assert not changed & below
    assert "features.conv1.weight" in changed


@pytest.mark.parametrize("kind", [*KINDS, *(n for n in on_latents() if n not in KINDS)])
def test_a_run_resumed_inside_an_experience_ends_with_the_same_bits(kind):
    words = KINDS.get(kind, (f"strategy={kind}",))
    whole = Made(*words)
    at = min(1, len(whole.stream) - 1)
    whole.learn(whole.stream[:at])
    steps = []
    for step in whole.strategy.learn(whole.stream[at]):
        steps.append(step)
        if len(steps) == 3:
            saved = deepcopy(whole.strategy.state_dict())
    whole.learn(whole.stream[at + 1 :])

    resumed = Made(*words)
    for tensor in resumed.model.state_dict().values():
        tensor.zero_()  # all that it needs of the model is in the state
    resumed.strategy.load_state_dict(saved)
    resumed.strategy.recall(resumed.stream[:at])
    rest = list(resumed.strategy.learn(resumed.stream[at], steps[2].following))
    resumed.learn(resumed.stream[at + 1 :])

    assert losses(rest) == losses(steps[3:])
    assert leaves(resumed.strategy.state_dict()) == leaves(whole.strategy.state_dict())
    assert torch.equal(resumed.logits(), whole.logits())


def test_the_lower_part_sees_each_training_row_once_in_an_experience():
    made = Made("strategy=replay", "device.tricks=false")
    seen: list[Tensor] = []
    made.lower.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    transform = made.prepared.data.transform

    for experience in made.stream:
        seen.clear()
        made.learn([experience])

        inputs = transform.evaluation(experience.train.x.to("cpu"))
        assert torch.equal(torch.stack(seen[: len(inputs)]), inputs)
        padding = -len(inputs) % made.strategy.source._chunk  # the last row, over and over
        assert len(seen) == len(inputs) + padding


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 4), ("float16", 2), ("bfloat16", 2)], ids=lambda v: str(v)
)
def test_a_stored_latent_has_the_bytes_of_its_type(dtype, size):
    made = Made("strategy=replay", "strategy.mem_size=20", f"strategy.latent_dtype={dtype}")

    made.learn(made.stream[:2])

    held = made.strategy.inner.memory.exemplars
    assert held.x.dtype == getattr(torch, dtype)
    assert held.x.shape == (20, 4, 8, 8)
    assert made.strategy.memory_rows()["bytes"] == 20 * (ROW * size + 24)


def test_rows_that_are_scored_are_not_rounded():
    made = Made("strategy=naive", "strategy.latent_dtype=bfloat16")
    x = made.stream[0].test.x
    with torch.no_grad():
        latents = made.lower(made.prepared.data.transform.evaluation(x))
        expected = made.strategy.cut.upper.eval()(latents)

    assert_close(made.strategy.predict(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_saved_model_answers_as_the_strategy_did(precision, tmp_path, caplog):
    words = ("strategy=replay", f"strategy.latent_layer={CUT}", f"device.precision={precision}")
    with caplog.at_level(logging.WARNING, "clrun.note"):
        found = clrun.run(composed(*words), tmp_path / "run")

    trained = clrun.load(tmp_path / "run")
    assert not caplog.messages
    stream = prepare(composed(*words)).data
    hits = [trained.logits(e.test.x).argmax(1) == e.test.y for e in stream]
    assert [float(h.double().mean()) for h in hits] == found.accuracy_matrix[-1]


class Doubled(nn.Module):
    """Twice the logits of a model, for a strategy that predicts with more than its model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("factor", torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.model(x)


class Doubling(Naive):
    @classmethod
    def predictor(cls, config: Any, model: nn.Module, shape: Any) -> nn.Module:
        return Doubled(model)

    def trained_predictor(self) -> nn.Module:
        return Doubled(self.learner.model)

    def predict(self, x: Any) -> Tensor:
        return 2 * super().predict(x)


def test_a_predictor_of_a_strategys_own_stands_above_the_lower_part():
    made = Made("strategy=naive")
    config = made.prepared.config.nodes["strategy"].config
    cls = suited(Doubling, config)
    strategy = cls(config, made.strategy.parts)
    x = made.stream[0].test.x
    images = made.prepared.data.transform.evaluation(x)

    trained = strategy.trained_predictor()
    fresh = cls.predictor(config, deepcopy(made.model), made.prepared.data.shape)
    fresh.load_state_dict(trained.state_dict())

    assert isinstance(trained, Stacked)
    assert_close(fresh.eval()(images), strategy.predict(x), rtol=1e-4, atol=1e-5)


def test_multiply_accumulates_are_those_above_and_one_pass_below_for_each_row():
    made = Made("strategy=naive")
    both = made.strategy.cut
    rows = sum(len(experience.train.y) for experience in made.stream)

    made.learn()

    learnt = 2 * rows * training_macs(both.upper, (4, 8, 8))
    assert made.strategy.train_macs == learnt + rows * forward_macs(both.lower, (1, 8, 8))


def test_the_updates_are_those_that_were_counted_ahead():
    from clrun.runner.ahead import updates_ahead

    made = Made("strategy=replay", "strategy.mem_size=20")

    ahead = updates_ahead(made.prepared.config, made.prepared.data)

    assert ahead == [len(made.learn([experience])) for experience in made.stream]


class Twice(nn.Module):
    """One layer with weights below the cut and above it."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.hidden, self.relu = nn.Flatten(), nn.Linear(64, 64), nn.ReLU()
        self.output = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        latent = self.relu(self.hidden(self.flat(x)))
        return self.output(torch.tanh(self.hidden(latent)))


REFUSED = {
    "unknown": ("strategy.latent_layer=features.relu9", "has no such layer"),
    "the head": ("strategy.latent_layer=output", "leaves nothing above it to learn"),
    "a type without a layer": ("strategy.latent_dtype=float16", "has no latents"),
    "another network chooses": (
        f"strategy.latent_layer={CUT} selection=herding selection.model=initial",
        "wants images",
    ),
    "a view of colours": (
        f"strategy=scr strategy.latent_layer={CUT}",
        "changes colours of images",
    ),
    "a view of what has no places": (
        "strategy=scr strategy.latent_layer=features.average strategy.view=crop",
        "mirrors or crops images",
    ),
    "a mirror image of what has no places": (
        "strategy=icarl strategy.latent_layer=features.average strategy.flip_means=true",
        "mirrors or crops images",
    ),
    "a layer below chooses": (
        f"strategy.latent_layer={CUT} selection=herding selection.layer_name=features.conv0",
        "no such layer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_line(case):
    words, reason = REFUSED[case]

    with pytest.raises(ConfigError, match=reason) as error:
        prepare(clrun.compose([*SMALL, "strategy=replay", *words.split()]))

    assert str(error.value).startswith(("strategy.", "selection."))
    assert "\n" not in str(error.value)


def test_a_layer_with_weights_that_both_parts_use_is_refused():
    config = composed("strategy=naive", "strategy.latent_layer=relu")

    with pytest.raises(ConfigError, match=r"hidden\.weight of Twice is used below .* and above"):
        prepare(config, own_model=Twice())


def test_ar1_has_a_latent_layer_of_its_own():
    config = composed("strategy=ar1", f"strategy.latent_layer={CUT}", "strategy.latent_dtype=uint8")

    assert not isinstance(made_strategy(prepare(config)), OnLatents)


def test_an_augmenting_benchmark_is_noted():
    config = composed("strategy=naive", f"strategy.latent_layer={CUT}", "benchmark.augment=crop")

    notes = [note for note in all_notes(prepare(config)) if "latent_layer" in note]

    assert len(notes) == 1
    assert "benchmark.augment=crop changes nothing" in notes[0]


def test_dropout_below_the_layer_is_noted(caplog):
    layers = (nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, 10))
    names = ("flat", "hidden", "dropped", "relu", "output")
    model = nn.Sequential(OrderedDict(zip(names, layers, strict=True)))
    config = composed("strategy=naive", "strategy.latent_layer=relu")

    with caplog.at_level(logging.WARNING, "clrun.note"):
        made_strategy(prepare(config, own_model=model))

    assert "dropout dropped has no effect" in caplog.text


class Functional(nn.Module):
    """A model that decides on dropout in its forward pass, so that its parts go by mode."""

    def __init__(self, draw: Callable[..., Tensor]) -> None:
        super().__init__()
        self.flat, self.hidden, self.relu = nn.Flatten(), nn.Linear(64, 16), nn.ReLU()
        self.middle, self.output = nn.Linear(16, 16), nn.Linear(16, 10)
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        latent = self.relu(self.hidden(self.flat(x)))
        return self.output(self.draw(torch.relu(self.middle(latent)), self.training))


def dropped(x: Tensor, training: bool) -> Tensor:
    return functional.dropout(x, 0.5, training)


def unchanged(x: Tensor, training: bool) -> Tensor:
    return x


def by_mode(x: Tensor, training: bool) -> Tensor:
    return 2 * x if training else x


@pytest.mark.parametrize(("draw", "draws"), [(dropped, True), (unchanged, False), (by_mode, False)])
def test_a_part_of_a_model_is_known_to_draw_or_not(draw, draws):
    upper = cut(Functional(draw), "relu").upper

    assert any(map(may_draw, upper.modules())) == draws
    assert not any(map(is_foreign, upper.modules()))


def test_dropout_in_the_forward_pass_above_the_layer_draws_from_the_place():
    config = composed("strategy=lwf", "strategy.latent_layer=relu")
    runs = []
    for _ in range(2):
        prepared = prepare(config, own_model=seeded(Functional, dropped))
        strategy = made_strategy(prepared)
        torch.rand(3)
        runs.append(losses(step for e in prepared.data for step in strategy.learn(e)))

    assert runs[0] == runs[1]


def seeded(make: Callable[..., nn.Module], *arguments: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(*arguments)


def test_another_strategy_of_a_sweep_finds_the_latents_that_one_computed(tmp_path):
    latents = SharedLatents(tmp_path / "latents", "cpu")
    one = Made("strategy=naive", latents=latents)
    one.learn(one.stream[:1])
    another = Made("strategy=replay", latents=latents)
    another.lower.register_forward_pre_hook(lambda *_: pytest.fail("it was computed again"))

    another.learn(another.stream[:1])

    assert_close(one.lower.state_dict(), another.lower.state_dict(), rtol=0, atol=0)


def test_strategies_above_the_same_layer_share_latents_in_a_sweep(tmp_path):
    words = (*SMALL, "strategy.latent_layer=features.relu0")
    grid = [("strategy=naive",), ("strategy=replay",), ("strategy=replay", "seed=1")]
    jobs = written_sweep(tmp_path / "sweep", grid, common=words)

    shared = [unit.latents for unit in units(tmp_path / "sweep", jobs, SweepOptions())]

    assert shared[0] == shared[1] is not None
    assert shared[2] is None


def test_the_experience_that_a_strategy_is_given_is_the_streams_but_for_its_rows():
    made = Made("strategy=naive")
    given = []

    def watched(experience: Experience, start: Any) -> Any:
        given.append(experience)
        return iter(())

    made.strategy.inner.learn = watched
    made.learn(made.stream[:1])

    first = made.stream[0]
    assert given[0].train.x.shape == (len(first.train.y), 4, 8, 8)
    assert torch.equal(given[0].train.y, first.train.y)
    assert replace(given[0], train=first.train).__dict__ == first.__dict__
