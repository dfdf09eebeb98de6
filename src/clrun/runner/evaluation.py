"""How a run is scored: which stream, which experiences, how many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.config.keys import Keys, Known
from clrun.device.rows import DeviceRows, Rows, hold
from clrun.images.patterns import Patterns, occurrence
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Benchmark, Experience


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Accuracies of one evaluation; None where nothing was evaluated."""

    experiences: list[float | None]
    classes: list[float | None]

    def as_dict(self) -> dict[str, list[float | None]]:
        """Both lists by name, copied."""
        return {"experiences": list(self.experiences), "classes": list(self.classes)}


Hold = Callable[[Rows], DeviceRows]
"""What brings rows to a device: `Device.hold`."""
ON_CPU: Hold = partial(hold, device=torch.device("cpu"))


class Evaluation:
    """Scores a strategy on held-out rows. Changes nothing of it.

    Rows that fit on the device stay there from one evaluation to the next.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Keys):
        stream: Literal["test", "validation"]
        experiences: Literal["all", "seen"]
        initial: bool
        limit_per_experience: Count | None

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
        self._resident: dict[Experience, DeviceRows] = {}

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
        strategy: Strategy,
        benchmark: Benchmark,
        *,
        seen: int,
        minibatch: int,
        hold: Hold = ON_CPU,
    ) -> Scores:
        """Accuracy on each experience (all, or the first `seen`) and on each class.

        `hold` brings the rows to where the strategy computes; of large images it may hand over
        fewer than `minibatch` at once.
        """
        last = seen if self.config.experiences == "seen" else len(benchmark)
        scored = [experience for experience in benchmark.experiences if experience.index < last]
        rows = [self.rows(experience) for experience in scored]
        guesses = [
            guessed(strategy, self._minibatches(experience, r, minibatch, hold))
            for experience, r in zip(scored, rows, strict=True)
        ]
        y = torch.cat([r.y for r in rows])
        hits = together(guesses).cpu() == y  # the only time that anything waits for the device
        shares = [
            int(right.sum()) / len(right) if len(right) else None
            for right in hits.split([len(r.y) for r in rows])
        ]
        classes = benchmark.shape.num_classes
        return Scores(
            experiences=shares + [None] * (len(benchmark) - len(scored)),
            classes=_shares(y[hits].bincount(minlength=classes), y.bincount(minlength=classes)),
        )

    def _minibatches(
        self, experience: Experience, rows: Patterns, size: int, hold: Hold
    ) -> Iterable[Rows]:
        """The images, in order."""
        held = self._resident.get(experience) or hold(rows.x)
        if held.indices_on.type != "cpu":
            self._resident[experience] = held
        return held.in_order(size)


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


def guessed(strategy: Strategy, minibatches: Iterable[Rows]) -> Tensor:
    """The class of the highest logit for each row of the minibatches [b, C, H, W]. [N] int64"""
    guesses = [strategy.predict(x).argmax(1) for x in minibatches if len(x)]
    return torch.cat(guesses) if guesses else torch.zeros(0, dtype=torch.int64)


def together(guesses: Sequence[Tensor]) -> Tensor:
    """All guesses in one tensor. Where there was nothing to guess, they lie on no device."""
    return torch.cat([guess for guess in guesses if len(guess)] or list(guesses))


def _shares(right: Tensor, total: Tensor) -> list[float | None]:
    pairs: Sequence[tuple[int, int]] = list(zip(right.tolist(), total.tolist(), strict=True))
    return [r / t if t else None for r, t in pairs]
