"""Looking at the operations that PyTorch is about to do."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Watching(TorchDispatchMode):
    """A mode that sees each operation inside its block; its class has `__torch_dispatch__`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the compiler needs no protection from us, which would import it (2 s)
