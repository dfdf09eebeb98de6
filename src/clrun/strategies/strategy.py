"""What a strategy is, and the parts it is given: the model, the memory's rules and the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from clrun.device.device import Device
from clrun.images.transforms import Transform
from clrun.memory.selection import ClassExemplarsSelectionStrategy
from clrun.memory.storage_policy import StoragePolicy
from clrun.strategies.plugin import Plugin
from clrun.strategies.step import Position, Step
from clrun.streams.experience import Experience


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


class Strategy(Protocol):
    """A way to learn from a stream, constructed as `Class(config, parts)`.

    Nothing to inherit from: any class with these members and a `Config` dataclass is a strategy.
    """

    whole_stream: ClassVar[bool]
    """True: the experiences are merged and learnt as one (the joint upper bound)."""
    uses_memory: ClassVar[bool]
    """True: storage_policy and selection have an effect."""

    def learn(self, experience: Experience, start: Position = ...) -> Iterator[Step]:
        """Train on one experience, yielding after each update; from `start` on when resumed."""

    def predict(self, x: Tensor) -> Tensor:
        """Logits of uint8 rows, in evaluation mode. [B, C, H, W] -> [B, num_classes] on device"""

    def memory_rows(self) -> dict[str, Any]:
        """`rows`, `bytes`, `per_class` and `per_experience` of what is stored."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next update depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from such a state."""
