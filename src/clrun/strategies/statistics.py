"""Frozen features and a head that is solved from sums over rows: one pass, no gradient.

The features are those of any layer of the model as it came, or the pixels (x / 255); what its head
is given where `layer_name` is null. `projection: random` makes them ReLU(g W), W drawn by the seed.
The heads (`strategies/heads`) say which method each is: nearest class means, streaming linear
discriminant analysis, ridge regression (with the projection: RanPAC), FeCAM.

An experience's rows are counted once, in an order drawn by the seed, as evaluation sees images: it
is no training, and benchmark.augment has no effect. Sums are float64: what is predicted does not
depend on that order, nor on how rows are cut into minibatches and experiences, by more than
rounding (but for `update: reference`, and `ridge_lambda: auto`, which belongs to an experience).
Nothing else is kept of rows.

An update is a minibatch of `eval_mb_size` rows. What the log has as its loss is the mean squared
distance of the rows from the means of their classes, per feature; as its accuracy, how many are
nearest to their own. Both are of the means right after the rows were counted, for any head.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clrun.device.rows import Rows, sent
from clrun.models.layer_features import features_of, require_features
from clrun.profiling.activity import doing
from clrun.profiling.spans import span
from clrun.seeds import generator
from clrun.strategies.frozen_features import FrozenFeatures, on
from clrun.strategies.heads.head import Head
from clrun.strategies.heads.keys import StatisticsKeys
from clrun.strategies.heads.scorer import Projection, Scorer, head_of, require_head_fits
from clrun.strategies.places import places
from clrun.strategies.run_keys import RunKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts, Strategy
from clrun.streams.experience import Experience, StreamShape

ONE_PASS = RunKeys(train_epochs=1)

log = logging.getLogger("clrun.note")


class Statistics(Strategy):
    """Counts rows, and solves for its head when it is asked to predict."""

    @dataclass(frozen=True, kw_only=True)
    class Config(StatisticsKeys):
        pass

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.features = FrozenFeatures(config.layer_name, parts)
        self._device = on(parts.device.torch)
        self._head: tuple[Head, Projection] | None = None  # until the features are counted
        self._dim = 0  # of features; 0 while that is not known
        self._scorer: Scorer | None = None  # by the sums of now, once it was asked for
        if parts.transform.augment != "none":
            log.warning("strategy=statistics counts images as they are: augment has no effect.")

    @staticmethod
    def check(config: Config, model: nn.Module, shape: StreamShape) -> None:
        require_head_fits(config, shape.num_classes, _few_features(config, model, shape))

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        return [-(-len(labels) // config.eval_mb_size) for labels in ahead.labels]

    @torch.no_grad()
    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Count the experience's rows, each once."""
        (x, y), size = experience.train, self.config.eval_mb_size
        rng = generator(self.parts.seed, "order", experience.index)
        order = torch.randperm(len(y), generator=rng).split(size)
        features = self.features.of_training(x)
        for place, rows in places(experience, ONE_PASS, lambda _: order, start):
            g, labels = features(rows), sent(y[rows], self._device)
            head, projection = self._made(g.shape[1])
            with span("statistics"):
                z = head.prepared(projection(g.to(self._device)))
                head.add(z, labels, place.iteration * size, len(y))
                self._scorer = None
                loss, correct = head.distances(z, labels)
            yield Step(loss, correct, len(rows), 0, 0, place.iteration, place.iterations)
        if self._head is not None:
            self._head[0].end()
        self._scorer = None
        self.features.forget(x)

    @torch.no_grad()
    def predict(self, x: Rows) -> Tensor:
        """Scores of uint8 rows. [B, C, H, W] -> [B, num_classes] float32 on the device"""
        features = self.features(x).to(self._device)
        scorer = self._solved(features.shape[1])
        with span("head"):
            scores: Tensor = scorer.scores(scorer.projection(features))
        return scores.float().to(self.parts.device.torch)

    @classmethod
    def predictor(cls, config: Config, model: nn.Module, shape: StreamShape) -> nn.Module:
        """The features, the projection and the scores of a head that has counted no row."""
        dim = _few_features(config, model, shape).shape[1]
        scores = head_of(config, shape.num_classes, dim).scores()
        features = features_of(model, config.layer_name, shape.channels)
        return Scorer(features, Projection(dim, config.num_projected), scores)

    def trained_predictor(self) -> nn.Module | None:
        return None if self._head is None else self._solved(self._dim)

    @property
    def train_macs(self) -> int:  # type: ignore[override]  # the features count it
        """Multiply-accumulates of the network on training rows."""
        return self.features.train_macs

    def vitals(self) -> dict[str, Any]:
        return {} if self._head is None else self._head[0].vitals()

    def state_dict(self) -> dict[str, Any]:
        held = {} if self._head is None else dict(self._head[0].held)
        return {"features": self.features.state_dict(), "dim": self._dim, "held": held}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.features.load_state_dict(state["features"])
        self._head, self._scorer = None, None
        if state["dim"]:
            head, _ = self._made(state["dim"])
            head.held = {k: v.to(self._device).clone() for k, v in state["held"].items()}

    def _made(self, dim: int) -> tuple[Head, Projection]:
        """The head and the projection for so many features."""
        if self._head is None:
            self._dim = dim
            head = head_of(self.config, self.parts.num_classes, dim, self._device)
            projection = Projection(dim, self.config.num_projected, self.parts.seed)
            self._head = head, projection.to(self._device)
        return self._head

    def _solved(self, dim: int) -> Scorer:
        head, projection = self._made(dim)
        if self._scorer is None:
            with span("solve"), doing("solving"):
                self._scorer = Scorer(self.features.module, projection, head.scores())
        return self._scorer


def _few_features(config: StatisticsKeys, model: nn.Module, shape: StreamShape) -> Tensor:
    """Those of two random images. [2, d]"""
    image = (shape.channels, shape.height, shape.width)
    return require_features(model, config.layer_name, image, key="strategy.layer_name")
