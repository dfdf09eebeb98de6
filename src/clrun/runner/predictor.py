"""The module that a trained model's tensors belong in, made anew from what its file says."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from clrun.config.bases import component
from clrun.config.foreign import explained, in_a_line
from clrun.config.run_config import Node
from clrun.errors import ClrunError, ConfigError
from clrun.models.fitting import misfits
from clrun.models.weights import weights_left_out
from clrun.runner.building import model_of
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import StreamShape


def declares_predictor(node: Node) -> bool:
    """Whether a strategy puts something around its model, or changes it, before it predicts."""
    return component(node).predictor.__func__ is not Strategy.predictor.__func__  # type: ignore[attr-defined]


def untrained(
    model: nn.Module | Node, strategy: Node | None, shape: StreamShape, seed: int
) -> nn.Module:
    """The predictor around a model, or around what a node describes; its tensors mean nothing.

    Raises:
        ConfigError: it cannot be made.
    """
    if isinstance(model, Node):
        with weights_left_out():
            model = model_of(model, shape, seed)
    if strategy is None:
        return model
    with explained(strategy, ".predictor(...)"):
        made: nn.Module = component(strategy).predictor(strategy.config, model, shape)
    return made


def fill(predictor: nn.Module, tensors: Mapping[str, Tensor], place: str) -> None:
    """Give the predictor these tensors: every one it has, and no other.

    Raises:
        ConfigError: with `place`, that they are not the predictor's.
    """
    problems = misfits(predictor.state_dict(), tensors, _described)
    if not problems:
        try:
            predictor.load_state_dict(dict(tensors))
        except ClrunError:
            raise
        except Exception as error:  # whatever a module of somebody's own raises
            problems = [in_a_line(error)]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ConfigError(
            f"{place}: its tensors are not those of {type(predictor).__name__}: "
            f"{'; '.join(problems[:3])}{more}."
        )


def _described(tensor: object) -> str:
    """Shape and type of a tensor."""
    if not isinstance(tensor, Tensor):
        return f"a {type(tensor).__name__}"
    shape = "x".join(map(str, tensor.shape)) or "a number"
    return f"{shape} {str(tensor.dtype).removeprefix('torch.')}"
