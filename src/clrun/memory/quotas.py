"""How many places of a memory each group gets. Integers only; groups are listed oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clrun.errors import ConfigError


def shares(available: Sequence[int], mem_size: int) -> list[int]:
    """Shares as equal as the groups' rows allow, min(mem_size, sum(available)) in all.

    The places are poured like water: a group with fewer rows than the common level keeps them all,
    and the level of the others rises. What is left over below one more place for everybody goes
    one each to the newest groups that have another row.
    """
    places, unfilled = mem_size, len(available)
    for rows in sorted(available):
        if rows * unfilled > places:
            break
        places, unfilled = places - rows, unfilled - 1
    if unfilled == 0:
        return list(available)
    level, leftover = divmod(places, unfilled)
    result = [min(rows, level) for rows in available]
    for group in reversed(range(len(available))):
        if leftover and available[group] > level:
            result[group] += 1
            leftover -= 1
    return result


def fixed_shares(
    available: Sequence[int], mem_size: int, total: int, *, key: str = "total"
) -> list[int]:
    """Shares of at most mem_size // total for each group, however many there are so far.

    Raises:
        ConfigError: there are more groups than `total`, the value of the configuration key `key`.
    """
    if len(available) > total:
        raise ConfigError(
            f"{key}={total}: the memory meets group number {len(available)}. "
            f"Use at least {len(available)}, or storage_policy.adaptive_size=true."
        )
    return [min(rows, mem_size // total) for rows in available]


def without_room(key: str, total: int, groups: int | None, mem_size: int | None) -> Iterator[str]:
    """What is wrong with fixed shares for `total` groups, the value of `key`: a line, if anything.

    `groups`: as many as there will be, if that is known. `mem_size` None: there is no memory.
    """
    if mem_size is None:
        return
    if groups is not None and total < groups:
        yield (
            f"{key}={total}: the benchmark has {groups}. Use at least {groups}, or "
            "storage_policy.adaptive_size=true."
        )
    elif total > mem_size:
        yield (
            f"strategy.mem_size={mem_size}: no row for each of {key}={total}. Use at least {total}."
        )


def check_total(key: str, total: int | None, adaptive_size: bool) -> None:
    """Check the rule that ties a total number of groups to `adaptive_size`.

    Raises:
        ValueError: fixed quotas without the total, or a total that adaptive quotas would ignore.
    """
    if adaptive_size and total is not None:
        raise ValueError(
            f"{key}={total}: adaptive_size=true shares among the groups seen so far and would "
            f"ignore it. Use adaptive_size=false, or {key}=null."
        )
    if not adaptive_size and total is None:
        raise ValueError(
            f"{key}=null: adaptive_size=false shares among a number of groups known beforehand. "
            f"Give {key} a number, or use adaptive_size=true."
        )
