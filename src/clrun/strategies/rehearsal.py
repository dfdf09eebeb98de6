"""How many current and how many remembered rows a minibatch of AR1 has."""

from __future__ import annotations

from clrun.memory.composition import Composition


def shares(current: int, held: int, minibatch: int) -> tuple[int, int]:
    """(current, remembered) rows of a minibatch, for `current` new rows and `held` in memory.

    So that an epoch passes about once over both: current // ((current + held) // minibatch) new
    rows, as AR1's published code has it, with the memory's actual length. Where that leaves the
    memory no row, it has its proportional share; what fits into one minibatch is one.
    """
    assert current > 0
    if held == 0:
        return minibatch, 0
    assert minibatch > 1, "a minibatch holds a new and a remembered row"
    new = max(1, current // max(1, (current + held) // minibatch))
    if new >= minibatch:
        new = minibatch - max(1, round(minibatch * held / (current + held)))
    return new, min(minibatch - new, held)


def composition(current: int, held: int, minibatch: int) -> Composition:
    """Minibatches of those shares, over an epoch that sees each new row once."""
    new, remembered = shares(current, held, minibatch)
    return Composition(
        train_mb_size=new + remembered,
        memory_mb_size=remembered or None,
        mix="split",
        balance="none",
        epoch_length="current",
    )
