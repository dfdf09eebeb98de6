"""SCR: features are learnt by comparing rows, and a class is what its stored rows have in common.

Mai et al. 2021, "Supervised Contrastive Replay", https://arxiv.org/abs/2103.13885. The minibatch is
current rows, rows drawn from the memory, and one more view of each; the loss is the supervised
contrastive one of their projections (`contrastive`). In training a projection with one hidden layer
takes the place of the model's head. A row is given the class with the nearest mean of the features
of stored rows, which are what the projection is given, by the weights of the moment: means are
computed anew for each evaluation, and a class without a stored row is never named.

The first view is as `benchmark.augment` makes it, which is the image itself by default, as in the
authors' code. Patterns of an update are counted with both views; its accuracy is the share of views
that are most like the others of their class in the minibatch. Memory, mixing and their keys are
those of `replay`: by default, as published, a reservoir of rows as they pass, uniform draws.
Avalanche fills a class-balanced memory when an experience ends, and computes means only then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from clrun.config.bounds import Count, Positive
from clrun.config.keys import Known
from clrun.config.moment import SECOND, Moment
from clrun.errors import ConfigError
from clrun.images.augment import AugmentPolicy, changes_colors
from clrun.models.features import head
from clrun.models.macs import training_macs
from clrun.profiling.spans import span
from clrun.seeds import isolated
from clrun.strategies.contrastive import Projection, among, supervised_contrastive
from clrun.strategies.learner import Learner
from clrun.strategies.nearest_means import NearestMeansStrategy, exchange
from clrun.strategies.places import Place, places
from clrun.strategies.rehearsal import Rehearsal
from clrun.strategies.rehearsal_plan import rehearsal_updates
from clrun.strategies.replay_keys import ReplayKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts
from clrun.streams.experience import Experience, StreamShape

Own = Literal["supervised_contrastive"]
EWC = "clrun.strategies.ewc:EWC"


class SCR(NearestMeansStrategy):
    """Replay with a contrastive loss; means of stored rows predict."""

    @dataclass(frozen=True, kw_only=True)
    class Config(ReplayKeys):
        temperature: Positive
        projection: Count
        view: AugmentPolicy
        active: Literal["all"] = "all"  # rows are compared, and no outputs
        head_correction: Literal["none"] = "none"  # the head does not predict
        criterion: Own = "supervised_contrastive"  # type: ignore[assignment]

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.view == "auto":
                raise ValueError("view=auto: must be named. Use view=contrastive, or another.")

        def conflicts(self, known: Known) -> Iterator[str]:
            """Outputs that are no logits of classes have no likelihood."""
            yield from super().conflicts(known)
            if any(plugin.target == EWC for plugin in known.plugins):
                yield (
                    "strategy.plugins: ewc asks how likely classes are by a head, which is not "
                    "trained with strategy=scr. Use mas or si."
                )

        def acts_from(self) -> Mapping[str, Moment]:
            return {"optimizer_state": SECOND}

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config = config
        self.head_name, layer = head(parts.model)
        width = layer.in_features
        with isolated(parts.seed, "projection"):
            projection = Projection(width, config.projection)
        macs = parts.pattern_macs
        if macs is not None:
            macs += training_macs(projection, (width,)) - training_macs(layer, (width,))
        exchange(parts.model, self.head_name, parts.device.place(projection))
        self.parts = replace(parts, pattern_macs=macs)
        self.learner = Learner(config, self.parts)
        self.rehearsal = Rehearsal(config, self.parts, self.learner)
        self.memory = self.rehearsal.memory
        self.memory.measures = {}  # a row alone has no loss that a policy could ask for
        self._view = replace(parts.transform, augment=config.view)

    @staticmethod
    def check(config: Config, model: nn.Module, shape: StreamShape) -> None:
        """Refuse what cannot work with this model and these images; both stay as they are."""
        NearestMeansStrategy.check(config, model, shape)
        if changes_colors(config.view) and shape.channels not in (1, 3):
            raise ConfigError(
                f"strategy.view={config.view}: the images have {shape.channels} channels, and "
                "colours are changed of grey or RGB ones. Use e.g. strategy.view=crop_flip."
            )

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return rehearsal_updates(config, ahead)

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Compare rows of the experience and the memory, and let the memory choose from it."""
        learner, rehearsal, c = self.learner, self.rehearsal, self.config
        learner.begin(experience)
        for place, rows in places(experience, c, rehearsal.plan(experience), start):
            new, views = len(rows.y) - rows.replayed, self._other_views(rows.x, place)
            inputs = _beside(learner.inputs(rows.x, place), views, new)
            y = _beside(rows.y, rows.y, new)
            projections = learner.forward(inputs, place)
            loss = supervised_contrastive(projections, y, c.temperature)
            said = among(projections, y, c.temperature, self.parts.num_classes)
            step = learner.update(loss, said, y, place, 2 * rows.replayed)
            rehearsal.after_update(experience, place, rows)
            self.outdate()
            yield step
        learner.end(experience)
        rehearsal.after_experience(experience)
        self.outdate()

    def _other_views(self, x: Tensor, place: Place) -> Tensor:
        """The second view of each row, on the device."""
        if self._view.augment == "none":
            return self.learner.inputs(x, place)  # as the first, drawn once more
        with span("images"):
            draws = self._view.draw(len(x), place.generator(self.parts.seed, "view"))
            return self.parts.device.put(self._view.training(x, draws))


def _beside(one: Tensor, other: Tensor, new: int) -> Tensor:
    """Both views of the first `new` rows, then both of the remembered ones. [B] -> [2B]"""
    return torch.cat([one[:new], other[:new], one[new:], other[new:]])
