"""How a run is scored: which stream, which experiences, how many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.config.keys import Keys, Known
from clrun.config.moment import FIRST_LEARNT, Moment
from clrun.device.rows import DeviceRows, Rows, hold, rows_at_once
from clrun.images.altered_rows import joined
from clrun.images.patterns import Patterns, occurrence
from clrun.streams.experience import Benchmark, Experience


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Accuracies of one evaluation; None where there were no rows."""

    experiences: list[float | None]
    """of those that were scored: all of the stream, or its first ones"""
    classes: list[float | None]

    def as_dict(self) -> dict[str, list[float | None]]:
        """Both lists by name, copied."""
        return {"experiences": list(self.experiences), "classes": list(self.classes)}


class Predicts(Protocol):
    """What is scored: a strategy, or what one has left."""

    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows. [B, C, H, W] -> [B, num_classes]"""


Hold = Callable[[Rows], DeviceRows]
"""What brings rows to a device: `Device.hold`."""
ON_CPU: Hold = partial(hold, device=torch.device("cpu"))
Look = Callable[[], None]
"""What may end an evaluation between two minibatches: nothing is half done there."""


def look_away() -> None:
    """Look for nothing."""


class Evaluation:
    """Scores a strategy on held-out rows. Changes nothing of it.

    Rows that fit on the device stay there from one evaluation to the next. Neighbouring experiences
    with few rows share minibatches, always the same ones, so that what a strategy remembers of them
    is found again; those seen last may then be predicted beside some that are not scored yet.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Keys):
        stream: Literal["test", "validation"]
        experiences: Literal["all", "seen"]
        initial: bool
        limit_per_experience: Count | None

        def acts_from(self) -> Mapping[str, Moment]:
            if self.initial:
                return {}
            return dict.fromkeys(("stream", "experiences", "limit_per_experience"), FIRST_LEARNT)

        def conflicts(self, known: Known) -> Iterator[str]:
            """Rows to validate on must have been held out."""
            if self.stream != "validation" or known.validation is not False:
                return
            fraction = known.value("benchmark.validation_fraction")
            if fraction is None:
                reason, way_out = "the benchmark has no rows to validate on", "Use eval.stream=test"
            else:
                reason = f"benchmark.validation_fraction={fraction:g} holds nothing out"
                way_out = "Use e.g. benchmark.validation_fraction=0.1, or eval.stream=test"
            yield f"eval.stream=validation: {reason}. {way_out}."

    def __init__(self, config: Config) -> None:
        self.config = config
        self._resident: dict[Pack, DeviceRows] = {}
        self._packs: tuple[Benchmark, int, list[Pack]] | None = None  # of a minibatch's size

    def rows(self, experience: Experience) -> Patterns:
        """The rows an experience is scored on, thinned to the limit class by class."""
        held_out = experience.test if self.config.stream == "test" else experience.validation
        assert held_out is not None, "validation rows are checked for before the run"
        limit = self.config.limit_per_experience
        if limit is None or len(held_out.y) <= limit:
            return held_out
        chosen = thinned(held_out.y, limit)
        return Patterns(held_out.x.index_select(0, chosen), held_out.y[chosen])

    def scores(
        self,
        strategy: Predicts,
        benchmark: Benchmark,
        *,
        seen: int,
        minibatch: int,
        hold: Hold = ON_CPU,
        look: Look = look_away,
    ) -> Scores:
        """Accuracy on each experience (all, or the first `seen`) and on each class.

        `hold` brings the rows to where the strategy computes; of large images it may hand over
        fewer than `minibatch` at once. `look` is called before each minibatch; by raising it ends
        the evaluation.
        """
        last = seen if self.config.experiences == "seen" else len(benchmark)
        packs = [p for p in self._packed(benchmark, minibatch) if p.first < last]
        guesses = [
            guessed(strategy, self._minibatches(pack, minibatch, hold), look) for pack in packs
        ]
        sizes = torch.cat([pack.sizes for pack in packs])[:last]
        rows = int(sizes.sum())
        y = torch.cat([pack.y for pack in packs])[:rows]
        hits = together(guesses).cpu()[:rows] == y  # the only time that anything waits for a device
        ends = sizes.cumsum(0)
        right = torch.cat([torch.zeros(1, dtype=torch.int64), hits.cumsum(0)])
        classes = benchmark.shape.num_classes
        return Scores(
            experiences=_shares(right[ends] - right[ends - sizes], sizes),
            classes=_shares(y[hits].bincount(minlength=classes), y.bincount(minlength=classes)),
        )

    def _packed(self, benchmark: Benchmark, minibatch: int) -> list[Pack]:
        """All experiences, those with few rows together; found once for a benchmark."""
        if self._packs is None or self._packs[:2] != (benchmark, minibatch):
            packs = list(packed(benchmark.experiences, self.rows, minibatch))
            self._packs = benchmark, minibatch, packs
        return self._packs[2]

    def _minibatches(self, pack: Pack, size: int, hold: Hold) -> Iterable[Rows]:
        """The images, in order."""
        held = self._resident.get(pack)
        if held is None:
            parts = [self.rows(experience).x for experience in pack.experiences]
            held = hold(parts[0] if len(parts) == 1 else joined(parts))
        if held.indices_on.type != "cpu":
            self._resident[pack] = held
        return held.in_order(size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack:
    """Neighbouring experiences whose rows are predicted together."""

    first: int
    """the place of the first in the stream"""
    experiences: Sequence[Experience]
    sizes: Tensor
    """[experiences] int64: rows of each"""
    y: Tensor
    """[N] int64: the labels of all"""


def packed(
    experiences: Sequence[Experience], rows: Callable[[Experience], Patterns], minibatch: int
) -> Iterator[Pack]:
    """The experiences in order, as many in a pack as have no more rows than a minibatch together.

    One with more rows than that is alone, and so cut into minibatches as if there were no other.
    """
    labels: list[Tensor] = []
    first = held = 0
    for place, experience in enumerate(experiences):
        x, y = rows(experience)
        if place > first and held + len(y) > rows_at_once(minibatch, x, torch.device("cpu")):
            yield _pack(first, experiences[first:place], labels)
            labels, first, held = [], place, 0
        labels.append(y)
        held += len(y)
    yield _pack(first, experiences[first:], labels)


def _pack(first: int, experiences: Sequence[Experience], labels: Sequence[Tensor]) -> Pack:
    sizes = torch.tensor([len(y) for y in labels], dtype=torch.int64)
    return Pack(first=first, experiences=experiences, sizes=sizes, y=torch.cat(list(labels)))


def thinned(y: Tensor, limit: int) -> Tensor:
    """`limit` rows, ascending: the first of each class, the others evenly spaced class by class.

    So the order of the rows does not decide which classes are scored; more classes than `limit`
    give one row each. [N] int64 -> [n] int64
    """
    is_first = occurrence(y) == 0
    others = y.argsort(stable=True)
    others = others[~is_first[others]]
    left = max(0, limit - int(is_first.sum()))
    spaced = others[torch.arange(left) * len(others) // max(left, 1)]
    return torch.cat([is_first.nonzero().flatten(), spaced]).sort().values


def guessed(strategy: Predicts, minibatches: Iterable[Rows], look: Look = look_away) -> Tensor:
    """The class of the highest logit for each row of the minibatches [b, C, H, W]. [N] int64"""
    guesses = []
    for x in minibatches:
        look()
        if len(x):
            guesses.append(strategy.predict(x).argmax(1))
    return torch.cat(guesses) if guesses else torch.zeros(0, dtype=torch.int64)


def together(guesses: Sequence[Tensor]) -> Tensor:
    """All guesses in one tensor. Where there was nothing to guess, they lie on no device."""
    return torch.cat([guess for guess in guesses if len(guess)] or list(guesses))


def _shares(right: Tensor, total: Tensor) -> list[float | None]:
    pairs: Sequence[tuple[int, int]] = list(zip(right.tolist(), total.tolist(), strict=True))
    return [r / t if t else None for r, t in pairs]
