"""Where a holder begins: what the worker names without importing torch."""

from __future__ import annotations

from typing import Any


def hold_stream(*arguments: Any) -> None:
    """`clrun.sweep.holder.hold`, in the process that has torch."""
    from clrun.sweep.holder import hold  # not in the worker, which imports this

    hold(*arguments)
