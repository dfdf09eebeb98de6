"""What a plugin is: a part with state of its own that a strategy calls in its own loop."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn


class Plugin(Protocol):
    """A regulariser that any strategy can carry. The strategy calls it, in this order:

        plugin.before_experience(model, experience.index)
        for each minibatch:
            loss = criterion(...) + penalty()       # where penalty() is not None
            loss.backward()                         # and gradients unscaled, clipped
            plugin.before_update()
            optimizer.step()
            plugin.after_update()
        plugin.after_experience()

    To continue inside an experience, `load_state_dict` what was saved there, then call
    `before_experience` with the same index: the state in progress is kept. All state is tensors
    on the parameters' device, plus numbers and names.
    """

    def before_experience(self, model: nn.Module, experience_index: int) -> None:
        """An experience starts, or continues after `load_state_dict`; frozen layers are known."""

    def penalty(self) -> Tensor | None:
        """A differentiable scalar to add to the loss; None while there is nothing to add."""

    def before_update(self) -> None:
        """Gradients are final; parameters are about to change."""

    def after_update(self) -> None:
        """Parameters have changed."""

    def after_experience(self) -> None:
        """The experience was learned to its end."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs, as copies."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
