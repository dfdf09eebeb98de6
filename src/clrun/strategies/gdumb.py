"""GDumb: no learning from the stream, only a memory, and a fresh network trained on it alone.

Prabhu et al. 2020, "GDumb: A Simple Approach that Questions Our Progress in Continual Learning"
(ECCV). The memory is filled greedily (`storage_policy: greedy_balanced`). The paper trains when it
is asked for answers; here that is when an experience ends, so that whoever asks gets the network of
the rows so far. It always starts from the same weights, those that the run's seed gives, and all
that is random in its training follows from the seed and the place in it: the result depends on the
rows in memory and on the seed, not on how or in how many experiences the memory was filled. In the
authors' code the memory is filled once and for all.

Training is the authors': SGD with momentum, `schedule: restarts`, gradients clipped at norm `clip`,
and CutMix (Yun et al. 2019, https://arxiv.org/abs/1905.04899) with probability `cutmix`, for all
but digits. Where they report the best test accuracy of all passes, the last pass counts here.
Avalanche's GDumb has 10 epochs of plain SGD and a class-balanced memory. Mammoth's has a reservoir
and trains after the last experience alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from clrun.config.bounds import Count, Positive, Probability
from clrun.errors import ConfigError
from clrun.images.cutmix import Mixed, cutmix
from clrun.images.patterns import Patterns
from clrun.memory.table import Table
from clrun.strategies.descent import MemoryStrategy
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.device_patterns import shuffled, shuffled_updates
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place, places
from clrun.strategies.rehearsal_plan import held_after
from clrun.strategies.row_measures import replay_memory
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience


class GDumb(MemoryStrategy):
    """A memory, and minibatch descent on it from the first weights on."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        mem_size: Count
        clip: Positive | None
        cutmix: Probability
        cutmix_alpha: Positive
        optimizer_state: Literal["fresh"] = "fresh"  # as the network
        head_correction: Literal["none"] = "none"  # no class is newer than another

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.learner = Learner(config, parts)
        self.memory = replay_memory(config.mem_size, parts, self.learner)
        self.fresh = {name: value.clone() for name, value in parts.model.state_dict().items()}
        """The first weights: what the seed gives, so no part of the state."""

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return shuffled_updates(config, held_after(config.mem_size, ahead), ahead.seed)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Store the experience's rows, forget the network, and train it anew on the memory."""
        learner, c = self.learner, self.config
        if start == START:
            self.memory.offer(experience.train, experience.index, learner.extract)
            self.parts.model.load_state_dict(self.fresh)
        held = in_order_of_content(self.memory.exemplars)
        remembered = replace(experience, index=0, train=Patterns(held.x, held.y))
        plan = shuffled(remembered, c, self.parts.device, self.parts.seed)
        learner.begin(experience)
        for place, rows in places(remembered, c, plan, start):
            inputs, y = learner.inputs(rows.x, place), rows.y
            mixed = self._mixed(inputs, place)
            logits = learner.forward(inputs if mixed is None else mixed.x, place)
            loss = learner.loss(logits, y)
            if mixed is not None:
                others = learner.loss(logits, y[mixed.other])
                loss = mixed.share * loss + (1 - mixed.share) * others
            here = place._replace(experience=experience.index)  # nothing random from here on
            update = learner.prepare(logits, y, here, replayed=len(y))
            total = learner.gradients(loss, update)
            if c.clip is not None:
                clip_grad_norm_(self.parts.model.parameters(), c.clip)
            learner.apply(update)
            yield update.step(total)
        learner.end(experience)

    def _mixed(self, inputs: Tensor, place: Place) -> Mixed | None:
        """The inputs with rectangles of one another, by chance; None: as they are.

        Raises:
            ConfigError: rows have no rectangles.
        """
        c, rng = self.config, place.generator(self.parts.seed, "cutmix")
        if float(torch.rand((), generator=rng)) >= c.cutmix:
            return None
        if inputs.dim() != 4:
            raise ConfigError(
                f"strategy.cutmix={c.cutmix:g}: rows of {list(inputs.shape[1:])} have no "
                "rectangles to exchange. Use strategy.cutmix=0."
            )
        return cutmix(inputs, c.cutmix_alpha, rng)


def in_order_of_content(rows: Table) -> Table:
    """The rows in the order of their bytes, whatever order they came in."""
    content = rows.x.flatten(1).contiguous().view(torch.uint8).numpy()
    order = content.view(f"V{content.shape[1]}").ravel().argsort(kind="stable")
    return rows.select(torch.from_numpy(order))
