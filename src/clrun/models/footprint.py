"""How much memory an update takes at least, from what PyTorch keeps for the way back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clrun.models.copies import empty_copy_of
from clrun.models.features import unwatched

IMAGES = 2
"""BatchNorm learns from no fewer."""


def saved_bytes(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Bytes that a forward pass keeps for the gradient of one input, its weights not counted.

    The model is copied, and stays as it is; nothing is computed.

    Raises:
        Whatever a model that looks at values raises where there are none.
    """
    twin = empty_copy_of(model).train()
    for module in twin.modules():
        module._forward_hooks.clear()  # whoever watches the model is not to see its twin
    own = {t.untyped_storage()._cdata for t in (*twin.parameters(), *twin.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()._cdata
        if place not in own:
            kept[place] = tensor
        return tensor

    x = torch.empty(IMAGES, *input_shape, device="meta")
    with (
        unwatched(twin),
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        output = twin(x)
    del output
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) // IMAGES
