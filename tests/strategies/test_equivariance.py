"""Numbers of classes are names: given others, a method does the same under these.

Permuted are the labels, the rows of the head that training begins from, and nothing else. Which
class of an experience has the lower number stays, for what is left over of a memory may go by it.
Every option of conf/strategy and of conf/plugin; a new one joins by being there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clrun.config.option_file import read_option
from clrun.config.sources import options
from clrun.images.patterns import Patterns
from clrun.models.features import head
from clrun.strategies.device_patterns import shuffled
from clrun.strategies.naive import Naive
from clrun.strategies.places import places
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Experience

ORDER = (3, 8, 0, 6, 2, 9, 1, 5, 4, 7)
"""The new number of each class of digits, two to an experience. One of the highest comes first, so
that "the numbers above all that were seen" are other classes."""
LEARNT = 3
"""Experiences; the others are still to come, and their outputs are there."""
SMALL = (
    *("model.hidden=[16]", "benchmark.limit_per_class=20", "strategy.train_epochs=2"),
    *("strategy.lr=0.05", "strategy.momentum=0.9", "strategy.train_mb_size=16"),
)


def plugged(name: str) -> str:
    """The key that adds a plugin; a weight that has no default is strong enough to act."""
    keys = read_option("plugin", name).keys.values()
    weights = [f"{key.path}: 10" for key in keys if key.value == "???"]
    return f"strategy.plugins=[{{{', '.join([f'name: {name}', *weights])}}}]"


CASES: dict[str, tuple[str, ...]] = {
    **{option.name: (option.name,) for option in options("strategy")},
    **{f"naive-{option.name}": ("naive", plugged(option.name)) for option in options("plugin")},
    "replay-seen": ("replay", "strategy.active=seen"),
    "replay-experience": ("replay", "strategy.active=experience"),
    "replay-minibatch": ("replay", "strategy.active=minibatch"),
    "lwf-experience": ("lwf", "strategy.active=experience"),
    "replay-wa": ("replay", "strategy.head_correction=wa"),
}
"""case -> option of conf/strategy and further words"""


def renamed(experience: Experience, new: Tensor) -> Experience:
    """The experience with these numbers for its classes."""

    def part(patterns: Patterns) -> Patterns:
        return Patterns(patterns.x, new[patterns.y])

    def numbers(classes: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(new[list(classes)].tolist()))

    return replace(
        experience,
        classes=numbers(experience.classes),
        train=part(experience.train),
        test=part(experience.test),
        merged_from=tuple(map(numbers, experience.merged_from)),
    )


def with_permuted_head(model: nn.Module, new: Tensor, folder: Path) -> str:
    """The key that lets a model begin with the same weights, the head's rows at the new numbers."""
    name, _ = head(model)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for part in ("weight", "bias"):
        state[f"{name}.{part}"][new] = model.state_dict()[f"{name}.{part}"]
    torch.save(state, folder / "permuted.pt")
    return f"model.pretrained={folder / 'permuted.pt'}"


def answers(strategy: Strategy, stream: Sequence[Experience]) -> Tensor:
    """Logits of test rows of all experiences, after the first few were learnt."""
    for experience in stream[:LEARNT]:
        for _ in strategy.learn(experience):
            pass
    return torch.cat([strategy.predict(experience.test.x) for experience in stream])


def difference(make: Callable[..., Any], initial: nn.Module, folder: Path) -> str | None:
    """What is different under other numbers of classes; None where nothing is. `make` is given what
    the model begins with; that is `initial` where nothing is said."""
    new = torch.tensor(ORDER)
    strategy, stream, _ = make()
    other, _, _ = make(with_permuted_head(initial, new, folder))

    plain = answers(strategy, stream)
    permuted = answers(other, [renamed(experience, new) for experience in stream])[:, new]

    differs = int((plain.argmax(1) != permuted.argmax(1)).sum())
    if differs:
        return f"{differs} of {len(plain)} test rows are called something else"
    try:  # sums over classes go in another order
        torch.testing.assert_close(permuted, plain, rtol=1e-3, atol=1e-4)
    except AssertionError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def initial(trial) -> nn.Module:
    """The model that every method begins with."""
    model: nn.Module = trial("naive", *SMALL).strategy.parts.model
    return model


@pytest.mark.parametrize("case", CASES)
def test_other_numbers_of_classes_change_no_answer(case, trial, initial, tmp_path):
    name, *words = CASES[case]
    keys = {f"strategy.{key}" for key in read_option("strategy", name).keys}
    usual = [w for w in SMALL if w.partition("=")[0] in keys or not w.startswith("strategy.")]

    assert difference(partial(trial, name, *usual, *words), initial, tmp_path) is None


class LargestSeen(Naive):
    """The loss knows the classes of the experience and those with numbers from the largest on that
    was ever seen: right only where classes come in the order of their numbers."""

    largest = 0

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        learner = self.learner
        plan = shuffled(experience, self.config, self.parts.device, self.parts.seed)
        learner.begin(experience)
        self.largest = max(self.largest, *experience.classes)
        known = torch.arange(self.parts.num_classes) >= self.largest
        known[list(experience.classes)] = True
        for place, rows in places(experience, self.config, plan, start):
            logits = learner.forward(learner.inputs(rows.x, place), place)
            loss = learner.loss(logits.masked_fill(~known, -1e9), rows.y)
            yield learner.update(loss, logits, rows.y, place)
        learner.end(experience)


def test_a_method_that_goes_by_the_largest_number_is_found(trial, initial, tmp_path):
    def make(*words: str) -> Any:
        made = trial("naive", *SMALL, *words)
        return made._replace(strategy=LargestSeen(made.strategy.config, made.strategy.parts))

    found = difference(make, initial, tmp_path)

    assert found is not None
    assert "called something else" in found
