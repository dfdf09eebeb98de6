"""What a strategy is, and the parts it is given: the model, the memory's rules and the seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from clrun.device.device import Device
from clrun.device.rows import Rows
from clrun.errors import Unsavable
from clrun.images.transforms import Transform
from clrun.memory.selection import ClassExemplarsSelectionStrategy
from clrun.memory.storage_policy import StoragePolicy
from clrun.models.features import Chooser
from clrun.strategies.held_out import left_to_learn
from clrun.strategies.plugin import Plugin
from clrun.strategies.shared_latents import SharedLatents
from clrun.strategies.step import START, Position, Step
from clrun.streams.experience import Experience, StreamShape


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything a strategy may see besides its own `Config` and the current experience."""

    model: nn.Module
    transform: Transform
    device: Device
    seed: int
    num_classes: int
    storage_policy: StoragePolicy
    selection: ClassExemplarsSelectionStrategy
    plugins: tuple[Plugin, ...]
    chooser: Chooser | None = None
    """On the device, the network whose features choose exemplars; None: the model in training."""
    pattern_macs: int | None = None
    """Multiply-accumulates of training the model on one pattern, where they were counted."""
    image_shape: tuple[int, ...] | None = None
    """[C, H, W] of the images, or the shape of a latent; where multiply-accumulates are counted."""
    latents: SharedLatents | None = None
    """What runs of a sweep have in common below a frozen layer, where there is such a sweep."""


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What is known of a stream before any of it is learnt: updates are counted from this."""

    labels: Sequence[Tensor]
    """of the training rows of each experience that the strategy will be given, [N] int64"""
    image_shape: tuple[int, int, int]
    seed: int
    storage_policy: StoragePolicy
    model: Callable[[], nn.Module]
    """the model, to look at alone; to build it may take its time"""
    augment: str = "none"
    """how training images are altered"""


class Strategy(ABC):
    """A way to learn from a stream, constructed as `Class(config, parts)`, with a `Config`.

    A class need not inherit from this one: what it does not declare comes from here where it is
    resolved (`config.component`). It must have `learn` and `predict`.
    """

    whole_stream: ClassVar[bool] = False
    """True: the experiences are merged and learnt as one (the joint upper bound)."""
    uses_memory: ClassVar[bool] = False
    """True: storage_policy and selection have an effect."""
    train_macs: int | None = None
    """Multiply-accumulates spent on learning so far; None where nobody counts them."""

    @staticmethod  # noqa: B027 - there is nothing to refuse unless a strategy has a reason
    def check(config: Any, model: nn.Module, shape: StreamShape) -> None:
        """Refuse what cannot work with this model and these images; both stay as they are.

        Raises:
            ConfigError: naming key, value and what is allowed.
        """

    @classmethod
    def updates(cls, config: Any, ahead: Ahead) -> Sequence[int] | None:
        """How many updates `learn` makes in each experience; None where that is not known.

        A class that has another `learn` than the class this comes from says it anew.

        Raises:
            ConfigError: minibatches cannot be made up as the keys have it.
        """
        return None

    @classmethod
    def notes(cls, config: Any, ahead: Ahead) -> Iterable[str]:
        """What of these keys is valid with such a stream, and yet worth a line before the run."""
        return ()

    @abstractmethod
    def learn(self, experience: Experience, start: Position = START) -> Iterator[Step]:
        """Train on one experience, yielding after each update; from `start` on when resumed."""

    @abstractmethod
    def predict(self, x: Rows) -> Tensor:
        """Logits of uint8 rows, in evaluation mode. [B, C, H, W] -> [B, num_classes] on device

        The rows may still lie in a file: `x.to(device)` reads them.
        """

    @classmethod
    def predictor(cls, config: Any, model: nn.Module, shape: StreamShape) -> nn.Module:
        """The module that gives `predict`'s logits, made around a `model` as a run is given it.

        A trained model is saved as the state of such a module, and loaded into a new one: images as
        the transform's evaluation makes them -> logits, in evaluation mode. Here it is the model. A
        strategy that changes layers of the model does so here too; one that predicts with more than
        the model (class means, say) makes a module that holds both, the rest as buffers, and gives
        the trained one as `trained_predictor`. A run compares it with `predict` before it is saved.
        """
        return model

    def trained_predictor(self) -> nn.Module | None:
        """The `predictor` as it is now; None: the model that the strategy was given, trained."""
        return None

    def recall(self, past: Sequence[Experience]) -> None:  # noqa: B027 - most have no need of it
        """Take the experiences learnt before the state that was loaded, as the stream has them.

        Called once after `load_state_dict`, for a strategy that keeps whole experiences: they are
        not part of its state.
        """

    def memory_rows(self) -> dict[str, Any]:
        """`rows`, `bytes`, `per_class` and `per_experience` of what is stored: here, nothing."""
        return {"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {}}

    def vitals(self) -> dict[str, Any]:
        """What tells, after an experience, whether all is well inside: numbers by name, for the log
        and `clrun doctor`."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on.

        Raises:
            Unsavable: the class does not say; its runs cannot be resumed.
        """
        raise Unsavable(f"{type(self).__name__} has no state_dict: it cannot be resumed")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from such a state.

        Raises:
            Unsavable: as `state_dict`.
        """
        raise Unsavable(f"{type(self).__name__} has no state_dict: it cannot be resumed")


def expected_updates(strategy: type[Strategy], config: Any, ahead: Ahead) -> Sequence[int] | None:
    """`strategy.updates`; None too where it inherits the count and has a loop of its own."""
    loop, count = _ancestor(strategy, "learn"), _ancestor(strategy, "updates")
    if count > loop:
        return None
    if places := getattr(config, "held_out_places", 0):
        ahead = replace(ahead, labels=list(left_to_learn(ahead.labels, places, ahead.seed)))
    return strategy.updates(config, ahead)


def _ancestor(strategy: type[Strategy], member: str) -> int:
    """How far up among the class's ancestors a member is defined."""
    return next(n for n, cls in enumerate(strategy.__mro__) if member in vars(cls))
