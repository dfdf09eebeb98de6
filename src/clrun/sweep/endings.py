"""How a process ended, in words."""

from __future__ import annotations

import signal

SIGNALLED = 128
"""What an exit code is above where a process says itself that a signal ended it."""

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


def ending(code: int) -> str:
    """What is said of a process with this exit code that did not say more itself."""
    if code < 0:
        return death(-code)
    if code > SIGNALLED:
        return f"was interrupted by {signal_name(code - SIGNALLED)}"
    return f"ended with exit code {code}"
