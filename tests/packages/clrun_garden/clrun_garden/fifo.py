"""First in, first out: the memory holds the newest rows, whatever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class FifoStoragePolicy:
    """The rows offered last, in the order of their offers; no selection is asked."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        pass

    def __init__(self, config: Config) -> None:
        self.config = config

    def keep(self, held: Any, new: Any, mem_size: int, order: Any) -> Tensor:
        return torch.arange(len(held) + len(new))[-mem_size:]
