"""Words of the command line that are too long to be read, and how many jobs they may stand for.

Hydra's grammar takes time that grows with the square of a value's length: 10,000 numbers in a list
took half a minute. The length is known at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from clrun.errors import ConfigError, cut

MOST_JOBS = 10_000
"""of a sweep, unless the key sweep.max_jobs says otherwise"""
LONGEST = 8_000
"""Characters of one word: a list of some 1,500 numbers"""
LONGEST_TOGETHER = 40_000
DEEPEST = 32
"""Brackets that are open at once"""


def require_short(overrides: Sequence[str]) -> None:
    """Refuse words that would take seconds to read.

    Raises:
        ConfigError: such a word is there.
    """
    for word in overrides:
        if len(word) > LONGEST:
            raise ConfigError(
                f"{cut(word)}: has {len(word):,} characters; one word has at most {LONGEST:,}. "
                "Write it into a YAML file: --config-dir DIR experiment=NAME."
            )
        if _depth(word) > DEEPEST:
            raise ConfigError(f"{cut(word)}: has more than {DEEPEST} brackets in one another.")
    together = sum(map(len, overrides))
    if together > LONGEST_TOGETHER:
        raise ConfigError(
            f"{len(overrides):,} words with {together:,} characters: at most "
            f"{LONGEST_TOGETHER:,}. Write them into a YAML file: --config-dir DIR experiment=NAME."
        )


def _depth(word: str) -> int:
    """The most brackets that are open at once; those in quotes count too."""
    depth = deepest = 0
    for letter in word:
        if letter in "[{(":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]})":
            depth -= 1
    return deepest
