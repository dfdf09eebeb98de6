"""AR1* with latent replay: past rows are replayed as the upper part of the model sees them.

Pellegrini et al. 2020 (https://arxiv.org/abs/1912.01100) on the AR1* of Maltoni & Lomonaco 2019
(https://arxiv.org/abs/1806.08568) and Lomonaco et al. 2019 (https://arxiv.org/abs/1907.03799).
What differs from the published code: labels travel with their latents, which are made by the lower
part's final weights; sizes follow the rows that are really stored; each stored row is replayed as
often as any other, within one, in every epoch; only what learns is given to the optimizer;
evaluation sees a consolidated head, in the middle of an experience too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from clrun.config.bounds import Bytes, Natural, NonNegative, Positive
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.device.rows import Rows
from clrun.errors import ConfigError
from clrun.memory.latent_memory import LatentMemory
from clrun.models.batch_renorm import renormalisation
from clrun.models.cosine_head import is_cosine
from clrun.models.features import head
from clrun.models.macs import forward_macs, training_macs
from clrun.profiling.activity import doing
from clrun.profiling.spans import span
from clrun.strategies.cwr import cwr_of
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.following import (
    ENOUGH,
    advised_rate,
    has_fresh_statistics,
    left_of_the_first,
)
from clrun.strategies.head_correction import require_correctable
from clrun.strategies.latent_minibatches import (
    LatentMinibatch,
    LatentMinibatches,
    StoredRows,
    stored_rows,
)
from clrun.strategies.latent_plan import planned_rows
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.learner import Learner
from clrun.strategies.places import Place, num_updates, places
from clrun.strategies.regularised import require_left_out
from clrun.strategies.separate_heads import require_separable
from clrun.strategies.split_model import SplitModel, copied
from clrun.strategies.split_model_keys import SplitModelKeys
from clrun.strategies.step import START, Position, Step
from clrun.strategies.strategy import Ahead, Parts, Strategy
from clrun.strategies.synaptic_intelligence import SynapticIntelligence
from clrun.streams.experience import Experience, StreamShape

log = logging.getLogger("clrun.note")


class PatternMacs(NamedTuple):
    """Multiply-accumulates for one pattern."""

    latent: int
    """of the lower part, forward alone"""
    lower: int
    """of the lower part: forward, and backward while it learns"""
    upper: int
    """of the upper part, forward and backward"""

    @classmethod
    def of(
        cls,
        split: SplitModel,
        image_shape: Sequence[int],
        *,
        learns_below: bool,
        latent: int | None = None,
        whole: int | None = None,
    ) -> PatternMacs:
        """The counts as the parts are now: what is frozen needs no gradient.

        What is known already is not counted again: `latent`, and `whole` of the whole model.
        """
        upper = training_macs(split.cut.upper, split.cut.latent_shape(image_shape))
        if latent is None:
            latent = forward_macs(split.cut.lower, image_shape)
        if not learns_below:
            return cls(latent, latent, upper)
        if whole is None:
            whole = training_macs(split.model, image_shape)
        return cls(latent, whole - upper, upper)


class AR1(Strategy):
    """Latent replay below, CWR* on top, Synaptic Intelligence and BatchReNorm in between."""

    uses_memory: ClassVar[bool] = False  # not that of storage_policy and selection

    @dataclass(frozen=True, kw_only=True)
    class Config(SplitModelKeys, DescentKeys):
        tuned: ClassVar[Mapping[str, str]] = {"lr": "tag(log,interval(0.0001,0.1))"}
        inc_lr: Positive | None
        head_lr_factor: Positive
        rm_sz: Natural
        rm_bytes: Bytes | None
        latent_dtype: Literal["float32", "float16", "bfloat16", "uint8"]  # type: ignore[assignment]
        latent_cache: Literal["auto", "off"]
        ewc_lambda: NonNegative
        head: Literal["cwr_star", "cwr_plus", "cwr", "plain"]
        optimizer_state: Literal["fresh"] = "fresh"  # other layers learn in each experience

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.head_correction != "none" and self.head != "plain":
                raise ValueError(
                    f"head_correction={self.head_correction}: strategy.head={self.head} corrects "
                    "the head itself. Use head_correction=none, or strategy.head=plain."
                )
            if self.rm_sz > 0 and self.train_mb_size < 2:
                raise ValueError(
                    f"train_mb_size={self.train_mb_size}: cannot hold a new and a replayed row. "
                    "Use at least 2, or strategy.rm_sz=0."
                )
            if self.rm_sz == 0 and self.rm_bytes is not None:
                raise ValueError(
                    f"rm_bytes={self.rm_bytes}: strategy.rm_sz=0 asks for no memory. "
                    "Use strategy.rm_bytes=null, or a larger strategy.rm_sz."
                )

        def acts_from(self) -> Mapping[str, Moment]:
            stored = ("rm_sz", "rm_bytes", "latent_dtype")
            later = ["inc_lr", "inc_update_rate"]
            if self.freeze_from != 0:
                later.append("freeze_below_layer")
            return {
                **self.descent_acts_from(),
                **dict.fromkeys(stored, FIRST_LEARNT),
                **dict.fromkeys(later, SECOND),
                # without a penalty there is no account of it, which the end of the first
                # experience would write a line of
                "ewc_lambda": SECOND if self.ewc_lambda > 0 else FIRST_LEARNT,
            }

    @classmethod
    def updates(cls, config: Config, ahead: Ahead) -> Sequence[int]:
        """Counted with a memory of as many rows, whose latents have nothing in them."""
        updates, memory = [], LatentMemory(_capacity(config, ahead), None, "float32", ahead.seed)
        for index, y in enumerate(ahead.labels):
            plan = partial(planned_rows, config, y, memory.rows, ahead.seed, index)
            updates.append(num_updates(config, plan))
            memory.offer(y, index, lambda rows: torch.zeros(len(rows), 1), (1,))
        return updates

    @classmethod
    def notes(cls, config: Config, ahead: Ahead) -> Iterator[str]:
        """Whether BatchReNorm is evaluated with statistics that cannot have followed."""
        if config.norm == "bn":
            return
        first = replace(ahead, labels=ahead.labels[:1])
        updates, rate = cls.updates(config, first)[0], config.init_update_rate
        left = left_of_the_first(rate, updates)
        if left > ENOUGH and has_fresh_statistics(_learning_layers(config, ahead.model())):
            yield (
                f"strategy.init_update_rate={rate:g}: after the {updates} updates of the first "
                "experience BatchReNorm's statistics, which evaluation normalises by, are still "
                f"{left:.0%} those of an untrained layer. "
                f"Use at least {advised_rate(updates):g}, or pretrained weights."
            )

    @staticmethod
    def check(config: Config, model: nn.Module, shape: StreamShape) -> None:
        """Refuse what cannot work with this model and these images; both stay as they are.

        Raises:
            ConfigError: see `SplitModel`, its `require_whole`, `LatentMemory.capacity`,
                `require_separable` and `require_correctable`; or a cosine head is to be
                consolidated.
        """
        require_separable(config, model, shape.num_classes)
        require_correctable(config, model)
        if config.head != "plain" and is_cosine(head(model)[1]):
            raise ConfigError(
                f"strategy.head={config.head}: it consolidates weights as they are, and the logits "
                f"of {type(model).__name__} are cosines. Use strategy.head=plain, or a linear head."
            )
        split, image_shape = copied(model, config), (shape.channels, shape.height, shape.width)
        split.require_whole(image_shape)
        if config.head != "plain":
            require_left_out(split.head_name, config.plugins)
        latent_shape = split.cut.latent_shape(image_shape)
        _memory(config, seed=0).capacity(latent_shape)

    def __init__(self, config: Config, parts: Parts) -> None:
        self.config, self.parts = config, parts
        self.split = SplitModel(parts.model, config)
        if idle := self.split.idle_dropout():
            log.warning(
                "strategy=ar1: dropout %s has no effect, as it lies below the latent layer, which "
                "evaluates while the rest learns. Name a layer before it in strategy.latent_layer.",
                ", ".join(idle),
            )
        self.cwr = cwr_of(config.head, self.split.head, parts.seed)
        self.memory = _memory(config, parts.seed)
        self.latents = LatentSource(
            self.split.cut.lower,
            parts,
            cached=config.latent_cache == "auto",
            frozen=self.split.frozen(0),
        )
        self.learner = Learner(
            config,
            replace(parts, plugins=(*parts.plugins, *self._synaptic_intelligence())),
            self.split.cut.upper,
            evaluation=self.latents.evaluation,
        )
        self._experience: int | None = None  # the one in progress
        self._remembered: StoredRows | None = None  # of that one's minibatches
        self._renormalised: dict[str, Any] = {}
        self._known_macs: dict[bool, PatternMacs] = {}  # by whether anything is frozen
        self.train_macs: int = 0
        """Multiply-accumulates spent on learning: nothing below the cut for what is looked up."""

    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train the upper part on new and stored latents, then store some of the new ones."""
        learner = self.learner
        self._begin(experience)
        for place, rows in places(experience, self.config, partial(self._plan, experience), start):
            learner.enter(place)
            latents = self._inputs(experience, rows, place)
            logits = learner.forward(latents, place)
            loss = learner.loss(logits, rows.y)
            step = learner.update(loss, logits, rows.y, place, len(rows.memory))
            self._count(rows)
            yield step
        self._end(experience)

    def _begin(self, experience: Experience) -> None:
        """Start an experience, or go on inside it after `load_state_dict`."""
        index, split = experience.index, self.split
        split.enter(index)
        is_new = index != self._experience
        if is_new:
            self._experience = index
            if index > 0:
                split.slow_statistics()
            if self.cwr is not None:
                y = torch.cat([experience.train.y, self.memory.rows.y])
                with span("head"):
                    self.cwr.begin(torch.bincount(y, minlength=self.parts.num_classes), index)
            self._start_optimizer(index)
        self.learner.begin(experience)
        x, is_frozen = experience.train.x, split.frozen(index)
        self._macs = self._pattern_macs(x.shape[1:], split.freezes(index), is_frozen)
        self.latents.begin(x, frozen=is_frozen)
        self._remembered = stored_rows(self.memory, self.parts.device)
        if self.latents.uses_cache and is_new:
            self.train_macs += len(x) * self._macs.lower

    def _pattern_macs(
        self, image_shape: Sequence[int], freezes: bool, is_frozen: bool
    ) -> PatternMacs:
        """A pattern's multiply-accumulates as long as no more is frozen than now."""
        if freezes not in self._known_macs:
            known = next(iter(self._known_macs.values()), None)
            self._known_macs[freezes] = PatternMacs.of(
                self.split,
                image_shape,
                learns_below=not is_frozen,
                latent=None if known is None else known.latent,
                whole=None if freezes else self.parts.pattern_macs,
            )
        return self._known_macs[freezes]

    def _start_optimizer(self, experience: int) -> None:
        c = self.config
        lr = c.lr if experience == 0 or c.inc_lr is None else c.inc_lr
        self.learner.start(
            self.split.model.parameters(),
            lr,
            faster=list(self.split.head.parameters()),
            factor=c.head_lr_factor,
        )

    def _plan(self, experience: Experience, epoch: int) -> LatentMinibatches:
        """The epoch's minibatches of new and stored rows."""
        y, held, seed = experience.train.y, self.memory.rows, self.parts.seed
        assert self._remembered is not None, "the experience has begun"
        return LatentMinibatches(
            planned_rows(self.config, y, held, seed, experience.index, epoch),
            y,
            held.y,
            self.parts.device.torch,
            current_on=self.latents.numbers_on,
            memory_on=self._remembered.numbers_on,
        )

    def _inputs(self, experience: Experience, rows: LatentMinibatch, place: Place) -> Tensor:
        """Latents of current rows followed by those of stored ones, on the device."""
        with self.parts.device.autocast():
            latents = self.latents.training(experience.train.x, rows.current, place)
            if len(rows.memory) and self._remembered is not None:
                with span("latents"):
                    latents = torch.cat([latents, self._remembered.take(rows.memory)])
        return latents

    def _count(self, rows: LatentMinibatch) -> None:
        """Add an update's multiply-accumulates to `train_macs`."""
        computed = 0 if self.latents.uses_cache else len(rows.current)
        learnt = len(rows.current) + len(rows.memory)
        self.train_macs += learnt * self._macs.upper + computed * self._macs.lower

    def _end(self, experience: Experience) -> None:
        """Store what was chosen, as the lower part's final weights make it; consolidate."""
        self._remembered = None  # it changes
        self._store(experience)
        self.learner.end(experience)
        if self.cwr is not None:
            with span("head"):
                self.cwr.consolidate()
        self.latents.end(experience.train.x, stays=self.split.frozen(experience.index + 1))
        self._experience = None

    def _store(self, experience: Experience) -> None:
        """Let the memory have latents of the rows it chooses, each with all that belongs to it."""
        (x, y), index = experience.train, experience.index
        shape = self.split.cut.latent_shape(x.shape[1:])
        self.learner.seed_draws("store", index)
        with span("store"), doing("storing latents"):
            self.memory.offer(y, index, partial(self._stored, x), shape)

    def _stored(self, x: Rows, rows: Tensor) -> Tensor:
        """Latents of rows of `x` as they are stored."""
        if not self.latents.uses_cache:
            self.train_macs += len(rows) * self._macs.latent
        return self.latents.unaugmented(x, rows)

    @torch.no_grad()
    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows with the consolidated head. [B, C, H, W] -> [B, num_classes]"""
        with self._consolidated():
            return self.learner.predict(x)

    @classmethod
    def predictor(cls, config: Config, model: nn.Module, shape: StreamShape) -> nn.Module:
        """The whole model, its normalisation exchanged and its layers cut as they learn.

        Between two experiences its head is the consolidated one.
        """
        return SplitModel(model, config).model

    @contextmanager
    def _consolidated(self) -> Iterator[None]:
        """In the middle of an experience, the head that its end would give now."""
        if self.cwr is None or self._experience is None:
            yield
            return
        saved = self.cwr.state_dict()
        trained = [parameter.clone() for parameter in self.split.head.parameters()]
        self.cwr.consolidate()
        try:
            yield
        finally:
            self.cwr.load_state_dict(saved)
            for parameter, values in zip(self.split.head.parameters(), trained, strict=True):
                parameter.copy_(values)

    def memory_rows(self) -> dict[str, Any]:
        return self.memory.summary()

    def vitals(self) -> dict[str, Any]:
        found = self._renormalisation()
        return {**self.learner.vitals(), **({"renormalisation": found} if found else {})}

    def _renormalisation(self) -> dict[str, Any]:
        """How BatchReNorm is doing, or did in the last update before a state was loaded."""
        return renormalisation(self.split.model) or self._renormalised

    def state_dict(self) -> dict[str, Any]:
        return {
            **self.learner.state_dict(),
            "memory": self.memory.state_dict(),
            "cwr": None if self.cwr is None else self.cwr.state_dict(),
            "experience": self._experience,
            "train_macs": self.train_macs,
            "frozen": self.latents.frozen,
            "renormalisation": self._renormalisation(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.config.ewc_lambda == 0:
            state = _without_account(state, len(self.learner.plugins))
        self._experience, self.train_macs = state["experience"], state["train_macs"]
        if self._experience is not None:
            self.split.enter(self._experience)
            self._start_optimizer(self._experience)
        self.learner.load_state_dict(state)
        self.memory.load_state_dict(state["memory"])
        if self.cwr is not None:
            self.cwr.load_state_dict(state["cwr"])
        self.latents.reset(frozen=state["frozen"])
        self._renormalised = state["renormalisation"]

    def _synaptic_intelligence(self) -> Iterator[SynapticIntelligence]:
        """The reference's, for all that learns but a head that `cwr` looks after."""
        c = self.config
        if c.ewc_lambda > 0:
            exclude = [self.split.head_name] if c.head != "plain" else []
            yield SynapticIntelligence(
                SynapticIntelligence.Config(ewc_lambda=c.ewc_lambda, exclude=exclude)
            )


def _without_account(state: dict[str, Any], plugins: int) -> dict[str, Any]:
    """The state without Synaptic Intelligence's account, which comes last, and what was added up of
    its penalties: a run without it may go on from a beginning that it shares with one that has it.
    """
    found = state["plugins"]
    if len(found) != plugins + 1:
        return state
    penalties = state["penalties"] if plugins else {"sums": {}, "updates": 0}
    return {**state, "plugins": found[:plugins], "penalties": penalties}


def _capacity(config: AR1.Config, ahead: Ahead) -> int:
    """Rows that may be stored; where that is said in bytes, the model's cut decides."""
    shape: Sequence[int] = ()
    if config.rm_bytes is not None:
        shape = copied(ahead.model(), config).cut.latent_shape(ahead.image_shape)
    return _memory(config, ahead.seed).capacity(shape)


def _learning_layers(config: AR1.Config, model: nn.Module) -> Iterable[nn.Module]:
    """The layers whose statistics move: those above the cut, of a model that has statistics."""
    if not has_fresh_statistics(model.modules()):
        return ()
    return copied(model, config).cut.upper.modules()


def _memory(config: AR1.Config, seed: int) -> LatentMemory:
    return LatentMemory(config.rm_sz, config.rm_bytes, config.latent_dtype, seed)
