"""What a plugin is: a part with state of its own that a learner calls around its updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from clrun.seeds import generator
from clrun.strategies.active import MASKED
from clrun.strategies.places import Place
from clrun.strategies.step import Step
from clrun.streams.experience import Experience


@dataclass(frozen=True)
class Update:
    """One update of the weights: what it is made from, and where it stands."""

    model: nn.Module
    """the whole model, also where only its upper part learns"""
    experience: Experience
    place: Place
    logits: Tensor
    """[B, num_classes] float32, with gradients"""
    y: Tensor
    """[B] int64, on the device"""
    replayed: int
    """how many of the last rows came from memory"""
    passes: Sequence[tuple[Tensor, Tensor]] = ()
    """inputs and logits of each forward pass in this update, in order; kept for plugins alone"""
    inactive: Tensor | None = None
    """[B or 1, num_classes] bool: outputs that the loss of each row does not know; None: none"""

    @property
    def masked(self) -> Tensor:
        """The logits, those of inactive outputs so low that no softmax sees them. -> [B, C]"""
        if self.inactive is None:
            return self.logits
        return self.logits.masked_fill(self.inactive, MASKED)

    @property
    def inputs(self) -> Tensor:
        """What the logits were computed from [B, ...]: augmented images, or latents.

        That is the pass that gave these logits, or all passes where the logits were joined.
        """
        for inputs, logits in self.passes:
            if logits is self.logits:
                return inputs
        joined = torch.cat([inputs for inputs, _ in self.passes])
        assert len(joined) == len(self.logits), "the logits are not those of the forward passes"
        return joined

    def step(self, loss: Tensor) -> Step:
        """What is reported of the update; `loss` [] is what was followed, detached."""
        correct = (self.masked.detach().argmax(1) == self.y).count_nonzero()
        _, epoch, iteration, iterations, _ = self.place
        return Step(loss, correct, len(self.y), self.replayed, epoch, iteration, iterations)


def _as_they_are(logits: Tensor, y: Tensor) -> Tensor:
    return logits


@dataclass(frozen=True)
class Learnt:
    """An experience at its end, whose rows can be read once more. The model evaluates meanwhile."""

    model: nn.Module
    """the whole model"""
    experience: Experience
    inputs: Callable[[Tensor], Tensor]
    """uint8 rows [B, C, H, W] -> what `forward` takes, without augmentation, on the device"""
    forward: Callable[[Tensor], Tensor]
    """inputs -> logits [B, num_classes] float32, with gradients for `parameters`"""
    parameters: Mapping[str, nn.Parameter]
    """what learns of the model by name; of one that is split, what learns of its upper part"""
    masked: Callable[[Tensor, Tensor], Tensor] = _as_they_are
    """logits [B, num_classes] and labels [B] -> the logits that the loss knows (`strategy.active`)
    """
    part: nn.Module | None = None
    """what `forward` computes with: the whole model or its upper part, neither compiled nor in a
    lower precision"""
    seed: int = 0

    def minibatches(self, size: int, of: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of the experience's rows, or of those that are numbered in `of`, in
        their order, on the device."""
        x, y = self.experience.train
        for rows in (torch.arange(len(y)) if of is None else of).split(size):
            inputs = self.inputs(x.index_select(0, rows))
            yield inputs, y[rows].to(inputs.device)

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh CPU generator for one purpose at the end of this experience."""
        return generator(self.seed, purpose, self.experience.index)


class Plugin(Protocol):
    """A part of the loss that any strategy with descent can carry. It is called in this order:

        plugin.before_experience(model, experience.index)
        for each minibatch:
            loss = the strategy's + plugin.penalty(update)   # where that is not None
            loss.backward()                                  # and gradients unscaled
            plugin.before_update(update)
            optimizer.step()
            plugin.after_update(update)
        plugin.after_experience(learnt)

    To continue inside an experience, `load_state_dict` what was saved there, then call
    `before_experience` with the same index: the state in progress is kept. All state is tensors
    on the parameters' device, plus numbers and names. What is random follows from the place.

    A class need not inherit from this one, but must declare all of it: state that nobody saves
    would be lost without a word.
    """

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        """An experience starts, or continues after `load_state_dict`; frozen layers are known."""

    def penalty(self, update: Update) -> Tensor | None:
        """A differentiable scalar to add to the loss; None while there is nothing to add."""

    def before_update(self, update: Update) -> None:
        """Gradients of the whole loss are there and may be changed; parameters will move next."""

    def after_update(self, update: Update) -> None:
        """Parameters have changed."""

    def after_experience(self, learnt: Learnt) -> None:
        """The experience was learnt to its end, and its rows can be read."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs, as copies."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
