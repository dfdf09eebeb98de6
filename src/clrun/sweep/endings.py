"""How a process ended, in words."""

from __future__ import annotations

import signal

BY_THE_SYSTEM = "perhaps by the system for want of memory"


def signal_name(number: int) -> str:
    """SIGTERM and the like; of one that this system has no name for, its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def death(number: int) -> str:
    """What is said of a process that this signal ended."""
    if number == signal.SIGKILL:
        return f"was killed by SIGKILL, {BY_THE_SYSTEM}"
    return f"died of {signal_name(number)}"
