"""Layers that behave at any image size and any minibatch size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from clrun.fast.folding import by_running_statistics


class GlobalAveragePool(nn.Module):
    """Mean over all positions of each channel: [B, C, H, W] -> [B, C], or [B, C, 1, 1] (keepdim).

    A plain mean, because adaptive pooling has no deterministic backward pass on CUDA.
    """

    def __init__(self, *, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=self.keepdim)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that can also be given a single value per channel while training.

    A minibatch of one pattern with a 1x1 map has no variance to normalise by; PyTorch stops
    there. Such a minibatch is normalised by the running statistics, and leaves them as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What evaluation multiplies each channel with and then adds, [C] each."""
        return by_running_statistics(self)
