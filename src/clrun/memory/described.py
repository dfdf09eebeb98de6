"""What a memory holds, as results.json tells it."""

from __future__ import annotations

from typing import Any, Protocol


class Memory(Protocol):
    """Rows that are kept, of whatever kind."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def rows_per_class(self) -> dict[int, int]: ...
    def rows_per_experience(self) -> dict[int, int]: ...


def described(memory: Memory) -> dict[str, Any]:
    """`rows`, `bytes`, `per_class` and `per_experience` (maps from id to count)."""
    return {
        "rows": len(memory),
        "bytes": memory.nbytes,
        "per_class": memory.rows_per_class(),
        "per_experience": memory.rows_per_experience(),
    }
