"""The keys that say what turns a model's features into logits. No torch here."""

from __future__ import annotations

from typing import Literal, Protocol

Head = Literal["linear", "cosine"]


class HeadKeys(Protocol):
    """The fields of a model's `Config` that concern its head; they come last there."""

    @property
    def head(self) -> Head: ...
    @property
    def head_scale(self) -> float: ...
