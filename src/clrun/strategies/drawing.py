"""Which modules and plugins may draw random numbers, from generators that we do not own."""

from __future__ import annotations

from torch import nn

from clrun.attributes import hooks

RANDOM = (
    *(nn.modules.dropout._DropoutNd, nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d),
    nn.MultiheadAttention,
)
"""PyTorch's layers that draw, beside those with an attribute `dropout`."""


def is_foreign(part: object) -> bool:
    """Whether a module or plugin may draw from NumPy's or Python's generators: it is not ours."""
    is_known = type(part).__module__.startswith(("clrun.", "torch.nn.", "torchvision."))
    return not is_known or (isinstance(part, nn.Module) and bool(hooks(part)))


def may_draw(module: nn.Module) -> bool:
    """Whether it may draw from PyTorch's: dropout and the like, or a layer we do not know."""
    if type(module).__module__.startswith("clrun."):
        return False
    if not type(module).__module__.startswith("torch.nn."):
        return True
    return isinstance(module, RANDOM) or bool(getattr(module, "dropout", 0))
