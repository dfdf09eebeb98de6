"""A model that learns, and what an update of it is made of: inputs, forward, loss, update.

A strategy's loop calls these four in the open, and puts its own between them:

    for place, rows in places(experience, config, plan, start):
        inputs = learner.inputs(rows.x, place)
        logits = learner.forward(inputs, place)
        loss = learner.loss(logits, rows.y)
        yield learner.update(loss, logits, rows.y, place)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clrun.device.rows import Rows, sent
from clrun.fast.evaluating_form import evaluating_form
from clrun.models.cut import evaluation_graph
from clrun.models.features import evaluating, head
from clrun.profiling.spans import span
from clrun.strategies.active import ActiveClasses
from clrun.strategies.criterion import criterion
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.drawing import ModuleDraws
from clrun.strategies.feature_reader import FeatureReader
from clrun.strategies.head_correction import HeadCorrection
from clrun.strategies.left_out import LeftOut
from clrun.strategies.loss_guard import LossGuard
from clrun.strategies.optimizers import lay_out_as_parameters, optimizer_of
from clrun.strategies.pass_macs import PassMacs
from clrun.strategies.penalties import Penalties
from clrun.strategies.places import Place
from clrun.strategies.plugin import Learnt, Plugin, Update
from clrun.strategies.scaled_descent import ScaledDescent
from clrun.strategies.schedule import rate
from clrun.strategies.separate_heads import SeparateHeads
from clrun.strategies.snapshot import Snapshot
from clrun.strategies.steepness import note_steep
from clrun.strategies.step import Step
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience


class Learner:
    """A model with its optimizer, gradient scaler and plugins.

    One optimizer over all trainable parameters is kept for the whole stream, or with
    `optimizer_state=fresh` for an experience. A strategy that gives
    only the upper part of `parts.model` as `model` calls `start` itself, and says as `evaluation`
    what turns uint8 rows into inputs of that part; plugins and the state dict see the whole model.

    Randomness follows from the place of an update alone, that of somebody's module too: the global
    generators start afresh in each. Several calls of `inputs` or `forward` in one update draw one
    after another, so that no two passes have the same dropout.
    """

    def __init__(
        self,
        keys: DescentKeys,
        parts: Parts,
        model: nn.Module | None = None,
        *,
        evaluation: Callable[[Rows], Tensor] | None = None,
    ) -> None:
        self.keys, self.parts, self.model = keys, parts, parts.model
        self.part = parts.model if model is None else model
        self.plugins: tuple[Plugin, ...] = parts.plugins
        self.previous: Snapshot | None = None
        """The model as it was when `snapshot` was last called."""
        self.optimizer: torch.optim.Optimizer | None = None
        whole = self.part is parts.model
        self._macs = PassMacs(counts=whole and parts.pattern_macs is not None)
        self._descent = ScaledDescent(parts.device.scaler())
        self._guard = LossGuard(parts.device.torch)
        self._left_out = LeftOut(parts.model) if keys.on_nan == "skip" else None
        self._evaluation = evaluation or self._evaluation_inputs
        self._forward = parts.device.runnable(self.part)
        self._evaluated = evaluating_form(self.part, self._forward, parts.device, evaluation_graph)
        self._draws = ModuleDraws(parts.model, self.plugins, parts.seed, parts.device.torch)
        reader = FeatureReader(
            parts, self._evaluation_inputs, keys.eval_mb_size, self._draws, self._macs
        )
        self.features, self.extract = reader.features, reader.extract
        self._place: Place | None = None  # of the update in progress
        self._passes: list[tuple[Tensor, Tensor]] = []  # inputs and logits of that update
        self._penalties = Penalties(self.plugins)
        self._experience: Experience | None = None
        self._begun: int | None = None  # the experience in progress
        self._is_whole = model is None
        self._lrs: list[float] = []  # step sizes of the optimizer's groups before the schedule
        self._augmentation: torch.Generator | None = None
        self.active: ActiveClasses | None = None
        """The outputs that the loss of each row knows; None where that is all (`active=all`)."""
        if keys.active != "all":
            self.active = ActiveClasses(keys.active, parts.num_classes, parts.device.torch)
        self.correction = HeadCorrection(keys, parts, self.predict)
        separate = keys.active == "experience"
        self._heads = SeparateHeads(head(parts.model)[1]) if separate else None
        if model is None:
            self.start(parts.model.parameters(), keys.lr)

    def start(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        faster: Collection[nn.Parameter] = (),
        factor: float = 1.0,
    ) -> None:
        """Take a new optimizer, without momentum from before, over the trainable ones of these.

        Those that are also in `faster` have `factor` times the step size.
        """
        marked = {id(parameter) for parameter in faster} if factor != 1 else set()
        learning = [p for p in parameters if p.requires_grad]
        usual = {"params": [p for p in learning if id(p) not in marked]}
        quick = {"params": [p for p in learning if id(p) in marked], "lr": lr * factor}
        groups = [group for group in (usual, quick) if group["params"]]
        self.optimizer = optimizer_of(self.keys, groups, lr, tricks=self.parts.device.tricks)
        self._lrs = [group["lr"] for group in self.optimizer.param_groups]
        if self._left_out is None:
            self._guard.watch(self.optimizer, scaled=self._descent.is_scaled)

    def begin(self, experience: Experience) -> None:
        """Start an experience, or go on inside it after `load_state_dict`.

        The model is in training mode afterwards; a part keeps the modes that its owner chose.
        """
        self._experience = experience
        is_fresh, self._begun = experience.index != self._begun, experience.index
        if is_fresh and self._is_whole and self.keys.optimizer_state == "fresh":
            self.start(self.model.parameters(), self.keys.lr)
        if is_fresh:
            self._penalties.begin()
        if self.active is not None:
            self.active.begin(experience)
            self._divide_head()
        self.seed_draws("begin", experience.index)
        if self.part is self.model:
            self.model.train()
        with span("plugins"):
            for plugin in self.plugins:
                plugin.before_experience(self.model, experience.index)
            if is_fresh:
                note_steep(self.plugins, self.optimizer)

    def end(self, experience: Experience) -> None:
        """Correct the head, then let plugins read the experience's rows, now that it is learnt."""
        self.correction.correct(experience)
        own = {id(parameter) for parameter in self.part.parameters() if parameter.requires_grad}
        parameters = {n: p for n, p in self.model.named_parameters() if id(p) in own}
        learnt = Learnt(
            *(self.model, experience, self._evaluation, self._logits, parameters, self.masked),
            part=self.part,
            seed=self.parts.seed,
        )
        self.seed_draws("end", experience.index)
        with span("plugins"), self._evaluating():
            for plugin in self.plugins:
                plugin.after_experience(learnt)
        self._begun = None

    def enter(self, place: Place) -> None:
        """Draw what is random in an update from its place alone, once for all its passes.

        `inputs` and `forward` do; whoever computes before them calls it first.
        """
        if place == self._place:
            return
        self._place, self._augmentation, self._passes = place, None, []
        if self.active is not None:
            self.active.enter()
        if self._left_out is not None:
            self._left_out.enter()
        self._draws.enter(place)

    def inputs(self, x: Tensor, place: Place) -> Tensor:
        """What the model is given of uint8 rows [B, C, H, W] in training: augmented, on device."""
        self.enter(place)
        device, transform = self.parts.device, self.parts.transform
        with span("images"):
            x = sent(x, device.torch)
            if transform.augment == "none":  # a generator takes longer than the rest of this
                return device.put(transform.training(x, None))
            if self._augmentation is None:
                self._augmentation = place.generator(self.parts.seed, "augmentation")
            draws = transform.draw(len(x), self._augmentation)
            return device.put(transform.training(x, draws))

    def forward(self, inputs: Tensor, place: Place) -> Tensor:
        """Logits [B, num_classes] float32, computed in the precision of the run."""
        self.enter(place)
        logits = self._logits(inputs)
        self._macs.add(len(inputs), self.parts.pattern_macs)
        if self.plugins:
            self._passes.append((inputs, logits))
        return logits

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean loss of the configured criterion over active outputs. [B, C], [B] int64 -> []"""
        with span("loss"):
            return criterion(self.keys.criterion, self.masked(logits, y), y)

    def masked(self, logits: Tensor, y: Tensor) -> Tensor:
        """The logits, those that `strategy.active` hides from the loss of rows of the classes `y`
        so low that no softmax sees them. [B, C], [B] int64 -> [B, C]

        Where gradients are computed, the update in progress trains what is left.
        """
        if self.active is None:
            return logits
        if torch.is_grad_enabled():
            self.active.use(y)
        return self.active.masked(logits, y)

    def touches(self, classes: Tensor | Sequence[int]) -> None:
        """The update in progress trains the outputs active beside these classes too.

        With `active=experience` rows of the head that belong to no experience of an update stay as
        they are. A method says here that a term of its loss, which has not passed through `loss` or
        `masked`, is about others.
        """
        if self.active is not None:
            self.active.use(classes)

    def update(
        self, loss: Tensor, logits: Tensor, y: Tensor, place: Place, replayed: int = 0
    ) -> Step:
        """Follow the gradient of the loss and all penalties. `logits` [B, C] and `y` [B] are what
        was learnt from, of which the last `replayed` rows came from memory.

        A method that looks at gradients, or changes them, has the same in three parts:

            update = learner.prepare(logits, y, place, replayed)
            total = learner.gradients(loss, update)
            learner.apply(update)                       # after which `update.step(total)` is due

        `gradients` may be called for other losses before, say to have a direction to project on:
        parameters keep the gradients of the last call.

        With `on_nan=skip` an update whose loss or gradients are not finite is left out: weights,
        buffers, moments and the plugins' state stay what they were, and its loss is NaN.
        """
        update = self.prepare(logits, y, place, replayed)
        total = self.gradients(loss, update)
        self.apply(update)
        return update.step(total)

    def prepare(self, logits: Tensor, y: Tensor, place: Place, replayed: int = 0) -> Update:
        """The update that plugins see."""
        assert self._experience is not None, "begin() comes first"
        passes = tuple(self._passes)
        inactive = None if self.active is None else self.active.inactive(y)
        return Update(self.model, self._experience, place, logits, y, replayed, passes, inactive)

    def gradients(self, loss: Tensor, update: Update, *, penalised: bool = True) -> Tensor:
        """Give every parameter the gradient of the loss and all penalties; that sum, detached.

        One of the calls in an update is `penalised`, where there are several.

        Raises:
            NonFiniteLoss: it is NaN or infinite. On a CUDA device, which is not waited for, `apply`
                changes nothing instead, from then on; with `on_nan=skip`, in this update alone.
        """
        assert self.optimizer is not None, "start() comes first"
        if self.plugins and penalised:
            with span("plugins"):
                loss = self._penalties.added(loss, update)
        with span("backward"):
            self._descent.backward(loss, self.optimizer)
        total = loss.detach()
        if self._left_out is None:
            self._guard.check(total, update.place)
            return total
        scaled = self._descent.is_scaled  # then the scaler looks at gradients
        self._left_out.look(total, None if scaled else self.optimizer, update.place)
        return torch.full_like(total, math.nan) if self.left_out else total

    def vitals(self) -> dict[str, Any]:
        """The mean penalty of each kind of plugin in the experience that is over, None where it had
        none. Synchronises."""
        means = self._penalties.means()
        found = {"penalties": means} if means else {}
        corrected = self.correction.found
        return {**found, "head_correction": corrected} if corrected else found

    def apply(self, update: Update) -> None:
        """Move the parameters as the optimizer makes of their gradients."""
        assert self.optimizer is not None, "start() comes first"
        if self.left_out:
            return self._undo(self.optimizer)
        with span("plugins"):
            for plugin in self.plugins:
                plugin.before_update(update)
        with span("optimizer"):
            if self.keys.schedule != "constant":
                for group, lr in zip(self.optimizer.param_groups, self._lrs, strict=True):
                    group["lr"] = lr * rate(self.keys, update.place)
            with self._separate_heads(update):
                self._descent.step(self.optimizer)
        with span("plugins"):
            for plugin in self.plugins:
                plugin.after_update(update)
        if self.plugins:
            self._penalties.made()
        if self._left_out is not None:
            self._left_out.made()
        self._place, self._passes = None, []

    @property
    def train_macs(self) -> int | None:
        """Multiply-accumulates of all passes of the whole model in training, and of those that
        choose exemplars; None where nobody counts them."""
        return self._macs.total

    @train_macs.setter
    def train_macs(self, total: int | None) -> None:
        self._macs.total = total

    @property
    def scaler(self) -> torch.amp.GradScaler:
        """What scales losses in fp16."""
        return self._descent.scaler

    @property
    def left_out(self) -> bool:
        """The update in progress, or the last one, is left out (`on_nan=skip`).

        Whoever keeps something of an update, such as its rows or logits, looks here first.
        """
        return self._left_out is not None and self._left_out.is_bad

    def _undo(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the update out: nothing stays of its passes and gradients."""
        assert self._left_out is not None
        self._left_out.undo()
        self._descent.leave_out(optimizer)
        self._place, self._passes = None, []

    def snapshot(self) -> None:
        """Keep a frozen copy of the model as it is: `previous`, which is part of the state."""
        self.previous = self._snapshot()

    def _snapshot(self) -> Snapshot:
        counted = partial(self._macs.add_forward, self.part)
        return Snapshot(self.part, self.parts.device, counted)

    def seed_draws(
        self, purpose: str, experience: int = 0, epoch: int = 0, iteration: int = 0
    ) -> None:
        """Start the global generators afresh, if modules may draw from them: ours never do."""
        self._draws.seed(purpose, experience, epoch, iteration)

    @torch.no_grad()
    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows in evaluation mode. [B, C, H, W] -> [B, num_classes] on device"""
        self.seed_draws("prediction")
        with self._evaluating(), self.parts.device.autocast():
            inputs = self._evaluation(x)
            with span("forward"):
                return self._evaluated(inputs).float()

    @torch.no_grad()
    def answers(self, inputs: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of what `inputs` made, in evaluation mode: as the model is, and with these
        parameters in the place of the part's own of those names. Nothing of the model changes.
        [B, ...] -> [B, C] float32, twice"""
        for _ in range(2):
            self._macs.add_forward(self.part, inputs)
        with self._evaluating(), self.parts.device.autocast(), span("forward"):
            own: Tensor = self.part(inputs)
            others: Tensor = functional_call(self.part, dict(parameters), (inputs,))
        return own.float(), others.float()

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on; tensors are the model's own, not copies."""
        return {
            "model": self.model.state_dict(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "plugins": [plugin.state_dict() for plugin in self.plugins],
            "previous": None if self.previous is None else self.previous.model.state_dict(),
            "train_macs": self.train_macs,
            "begun": self._begun,
            "penalties": self._penalties.state_dict(),
            "left_out": 0 if self._left_out is None else self._left_out.in_a_row,
            "correction": self.correction.state_dict(),
            "active": None if self.active is None else self.active.table.clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from such a state; a strategy that calls `start` has done so before."""
        self.model.load_state_dict(state["model"])
        self.correction.load_state_dict(state["correction"])
        if self.active is not None:
            self.active.load(state["active"])
            self._divide_head()
        if self.optimizer is not None and state["optimizer"] is not None:
            self.optimizer.load_state_dict(state["optimizer"])
            lay_out_as_parameters(self.optimizer)
        self.scaler.load_state_dict(state["scaler"])
        for plugin, saved in zip(self.plugins, state["plugins"], strict=True):
            plugin.load_state_dict(saved)
        self.previous = None if state["previous"] is None else self._snapshot()
        if self.previous is not None:
            self.previous.model.load_state_dict(state["previous"])
        self.train_macs, self._begun = state["train_macs"], state["begun"]
        self._penalties.load_state_dict(state["penalties"], self.parts.device.torch)
        if self._left_out is not None:
            self._left_out.in_a_row = state["left_out"]
        self._place, self._passes = None, []

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluation mode of the model, and of the part: that has a mode of its own where its
        forward pass is another one in training (`cut.ByMode`)."""
        with evaluating(self.model), evaluating(self.part):
            yield

    def _logits(self, inputs: Tensor) -> Tensor:
        """What the model, or its part, makes of inputs in the precision of the run, as float32."""
        with self.parts.device.autocast(), span("forward"):
            return self._forward(inputs).float()

    def _divide_head(self) -> None:
        """Let the optimizer have the head's rows of each experience apart, where that matters."""
        if self._heads is not None and self.optimizer is not None:
            assert self.active is not None
            self._heads.divide(self.optimizer, self.active.table)

    def _separate_heads(self, update: Update) -> AbstractContextManager[None]:
        """While the optimizer takes a step, no row of the head moves that is not trained."""
        if self._heads is None or self.active is None or self.optimizer is None:
            return nullcontext()
        self.active.use(update.y)
        return self._heads.apart(self.active.experiences_used(), self.optimizer)

    def _evaluation_inputs(self, x: Rows) -> Tensor:
        """What the whole model is given of uint8 rows in evaluation, on the device."""
        device, transform = self.parts.device, self.parts.transform
        with span("images"):
            return device.put(transform.evaluation(x.to(device.torch)))
