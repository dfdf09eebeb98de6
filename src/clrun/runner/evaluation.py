"""How a run is scored: which stream, which experiences, how many rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from clrun.config.bounds import Count
from clrun.config.keys import Keys, Known
from clrun.config.moment import FIRST_LEARNT, Moment
from clrun.images.patterns import Patterns, occurrence
from clrun.runner.judged import Predicts, detail_of, guessed, judged
from clrun.runner.packs import Asked, Feed, Packs
from clrun.runner.scores import Accuracies, Scores, by_experience, shares
from clrun.runner.task_aware import (
    OwnOutputs,
    classes_table,
    require_not_below,
    require_own_classes,
)
from clrun.runner.task_id_keys import without_own_outputs
from clrun.seeds import generator
from clrun.streams.experience import Benchmark, Experience


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
        every_steps: Count | None = None  # a trained model's file may be older than these two
        subset: Count | None = None
        task_ids: bool = False  # nor are they newer than this one

        def acts_from(self) -> Mapping[str, Moment]:
            if self.initial or self.every_steps is not None:
                return {}
            keys = ("stream", "experiences", "limit_per_experience", "task_ids")
            return dict.fromkeys(keys, FIRST_LEARNT)

        def conflicts(self, known: Known) -> Iterator[str]:
            """A subset is for something, rows to validate on must have been held out, and an
            experience has outputs that its id tells from others."""
            if self.task_ids:
                yield from without_own_outputs(known)
            if self.subset is not None and self.every_steps is None:
                yield (
                    f"eval.subset={self.subset}: eval.every_steps=null evaluates nothing on it. "
                    "Use e.g. eval.every_steps=10, or eval.subset=null."
                )
            if self.stream != "validation" or known.validation is not False:
                return
            fraction = known.value("benchmark.validation_fraction")
            if fraction is None:
                reason, way_out = "the benchmark has no rows to validate on", "Use eval.stream=test"
            else:
                reason = f"benchmark.validation_fraction={fraction:g} holds nothing out"
                way_out = "Use e.g. benchmark.validation_fraction=0.1, or eval.stream=test"
            yield f"eval.stream=validation: {reason}. {way_out}."

    def __init__(self, config: Config, seed: int = 0) -> None:
        """`seed` chooses the rows of `eval.subset`."""
        self.config, self._seed = config, seed
        self._table: tuple[Benchmark, Tensor] | None = None
        self._packs, self._subset_packs = Packs(self.rows), Packs(self.subset_rows)
        self._choices: dict[tuple[int, int], Tensor] = {}

    def check(self, benchmark: Benchmark) -> None:
        """Refuse a stream that was read and cannot be scored so.

        Raises:
            ConfigError: with task ids, see `require_own_classes`.
        """
        if self.config.task_ids:
            require_own_classes(benchmark, ((e, self.rows(e)) for e in benchmark))

    def rows(self, experience: Experience) -> Patterns:
        """The rows an experience is scored on, thinned to the limit class by class."""
        held_out = self._held_out(experience)
        limit = self.config.limit_per_experience
        if limit is None or len(held_out.y) <= limit:
            return held_out
        return _taken(held_out, thinned(held_out.y, limit))

    def size(self, experience: Experience) -> int:
        """How many rows those are."""
        y, limit = self._held_out(experience).y, self.config.limit_per_experience
        return len(y) if limit is None or len(y) <= limit else len(thinned(y, limit))

    def subset_rows(self, experience: Experience) -> Patterns:
        """Those that stand for them inside an experience: `eval.subset` of them by chance, or all.

        In the order of the rows; the seed and the experience alone decide which they are.
        """
        rows, count = self.rows(experience), self.config.subset
        if count is None or len(rows.y) <= count:
            return rows
        return _taken(rows, self._chosen(experience.index, len(rows.y)))

    def scores(
        self,
        strategy: Predicts,
        benchmark: Benchmark,
        *,
        seen: int,
        feed: Feed,
        detailed: bool = False,
    ) -> Scores:
        """Accuracy on each experience (all, or the first `seen`) and on each class.

        `detailed`: with the detail, for which nothing is predicted once more.
        """
        last = seen if self.config.experiences == "seen" else len(benchmark)
        asked = self._packs.asked(last, benchmark, feed)
        outputs, classes = self._outputs(benchmark, asked), benchmark.shape.num_classes
        detail = None
        if detailed:
            said = judged(strategy, asked.minibatches, asked.y, outputs)
            guess, own = said.guess, said.own
            detail = detail_of(said, asked.counted, classes)
        else:
            guess, own = guessed(strategy, asked.minibatches, outputs)
        scores = replace(self._scored(guess, asked, classes), detail=detail)
        if outputs is None:
            return scores
        aware = self._scored(own, asked, classes)
        require_not_below(aware.experiences, scores.experiences)
        return replace(scores, task_aware=aware)

    def subset_scores(
        self, strategy: Predicts, benchmark: Benchmark, *, seen: int, feed: Feed
    ) -> tuple[Accuracies, Accuracies | None]:
        """Accuracy on each of the first `seen` experiences, on the rows of the subset; and with
        task ids, where `eval.task_ids` asks for it."""
        asked = self._subset_packs.asked(seen, benchmark, feed)
        outputs, y = self._outputs(benchmark, asked), asked.counted
        found = [
            by_experience(guess[: len(y)].cpu() == y, asked.sizes)
            for guess in guessed(strategy, asked.minibatches, outputs)
        ]
        if outputs is None:
            return found[0], None
        require_not_below(found[1], found[0])
        return found[0], found[1]

    def _outputs(self, benchmark: Benchmark, asked: Asked) -> OwnOutputs | None:
        """Those that each row may be; None where all rows may be all."""
        if not self.config.task_ids:
            return None
        if self._table is None or self._table[0] is not benchmark:
            self._table = benchmark, classes_table(benchmark)
        return OwnOutputs(self._table[1], asked.experience)

    def _scored(self, guess: Tensor, asked: Asked, classes: int) -> Scores:
        """The accuracies of these classes, called of the rows that were asked for."""
        y = asked.counted
        hits = guess[: len(y)].cpu() == y
        return Scores(
            experiences=by_experience(hits, asked.sizes),
            classes=shares(y[hits].bincount(minlength=classes), y.bincount(minlength=classes)),
            subset=self._on_subset(hits, asked.sizes),
        )

    def _on_subset(self, hits: Tensor, sizes: Tensor) -> list[float | None] | None:
        """The accuracies on the subset, of rows that were all predicted."""
        count = self.config.subset
        if count is None:
            return None
        accuracies: list[float | None] = []
        for index, part in enumerate(hits.split(sizes.tolist())):
            own = part if len(part) <= count else part[self._chosen(index, len(part))]
            accuracies.append(int(own.sum()) / len(own) if len(own) else None)
        return accuracies

    def _chosen(self, index: int, rows: int) -> Tensor:
        """Which of an experience's rows the subset has, ascending."""
        if (index, rows) not in self._choices:
            order = torch.randperm(rows, generator=generator(self._seed, "eval subset", index))
            self._choices[index, rows] = order[: self.config.subset].sort().values
        return self._choices[index, rows]

    def _held_out(self, experience: Experience) -> Patterns:
        held_out = experience.test if self.config.stream == "test" else experience.validation
        assert held_out is not None, "validation rows are checked for before the run"
        return held_out


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


def _taken(rows: Patterns, chosen: Tensor) -> Patterns:
    return Patterns(rows.x.index_select(0, chosen), rows.y[chosen])
