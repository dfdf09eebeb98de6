"""Dropout that a resumed run repeats: its masks are a function of the seed and the update."""

from __future__ import annotations

from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from clrun.seeds import derive


class SeededDropout(nn.Module):
    """Zero each activation with probability p while training, and scale the others by 1/(1-p).

    Srivastava et al. 2014 (https://jmlr.org/papers/v15/srivastava14a.html). Masks come from the
    layer's own generator, never the global one; call `reseed` before every update. The same seed
    gives the same masks on one kind of device; a CPU and a GPU draw different ones. `per_row` keeps
    or zeroes each row as a whole: stochastic depth (Huang et al. 2016,
    https://arxiv.org/abs/1603.09382), when it stands at the end of a residual branch.
    """

    def __init__(self, p: float, *, per_row: bool = False) -> None:
        super().__init__()
        assert 0 <= p < 1, f"p={p}"
        self.p, self.per_row = p, per_row
        self._seed: int | None = None
        self._rng: torch.Generator | None = None
        self._number = 0

    def reseed(self, seed: int) -> None:
        """Start the stream of masks afresh; the generator is made where the activations are."""
        self._seed, self._rng = seed, None
        self._number = id(self)  # of a copy, another
        LAYERS[self._number] = self

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * (
            _mask_of(x.detach(), self._number) if torch.compiler.is_compiling() else self.mask(x)
        )

    def mask(self, x: Tensor) -> Tensor:
        """0 where an activation of x is dropped, else 1/(1-p)."""
        if self._rng is None:
            assert self._seed is not None, "reseed(model, ...) comes before every training step"
            self._rng = torch.Generator(x.device).manual_seed(self._seed)
        keep = self.unfilled_mask(x)
        return keep.bernoulli_(1 - self.p, generator=self._rng).div_(1 - self.p)

    def unfilled_mask(self, x: Tensor) -> Tensor:
        """Memory for the mask."""
        rows = x[(slice(None), *[slice(1)] * (x.dim() - 1))] if self.per_row else x
        return torch.empty_like(rows, requires_grad=False)

    def extra_repr(self) -> str:
        return f"p={self.p}"


DROPOUT = (SeededDropout, nn.modules.dropout._DropoutNd)


def idle_dropout(part: nn.Module) -> list[str]:
    """Names of the dropout layers of a part of a model, which never act if it always evaluates."""
    return [n for n, m in part.named_modules() if isinstance(m, DROPOUT) and m.p > 0]


LAYERS: WeakValueDictionary[int, SeededDropout] = WeakValueDictionary()
"""Layers that were ever reseeded, by number: a graph knows numbers and tensors only."""


# one operation of the graph, since a compiled model cannot contain a generator; no CUDA graph may
# hold it, which would draw the same mask for ever
@torch.library.custom_op("clrun::dropout_mask", mutates_args=(), tags=(torch.Tag.cudagraph_unsafe,))
def _mask_of(x: Tensor, number: int) -> Tensor:
    return LAYERS[number].mask(x)


@_mask_of.register_fake
def _(x: Tensor, number: int) -> Tensor:
    return LAYERS[number].unfilled_mask(x)


def reseed(model: nn.Module, seed: int, experience: int, epoch: int, iteration: int) -> None:
    """Give every SeededDropout of `model` the masks of one update, each layer its own stream."""
    layers = [module for module in model.modules() if isinstance(module, SeededDropout)]
    for place, layer in enumerate(layers):  # by place: compiling a model changes its names
        layer.reseed(derive(seed, f"dropout {place}", experience, epoch, iteration))
