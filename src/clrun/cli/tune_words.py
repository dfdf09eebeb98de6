"""The words of `clrun tune`, by what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from clrun.config.composing import parsed
from clrun.config.sources import LAUNCHER, REPEATS, SWEEP
from clrun.errors import ConfigError

SEED, FIRST, STREAM, HELD_OUT = (
    "seed",
    "first_experiences",
    "eval.stream",
    "benchmark.validation_fraction",
)


@dataclass(frozen=True)
class Words:
    """The words by what they are for."""

    fixed: tuple[str, ...]
    """of every job"""
    sweep: tuple[str, ...]
    """`sweep.KEY` and `launcher`: how jobs are run"""
    hydra: tuple[str, ...]
    searched: tuple[Override, ...]
    seeds: tuple[int, ...]
    """none where no word says them"""
    held_out: str | None
    """how many rows trials are scored on, which the full stream trains on; None: no word says so"""


def sorted_words(app: Hydra, overrides: Sequence[str]) -> Words:
    """The words as they were typed, sorted.

    Raises:
        ConfigError: one says what trials may see, or seeds that are none.
    """
    parser = OverridesParser.create(config_loader=app.config_loader)
    fixed, sweep, own, searched = [], [], [], list[Override]()
    seeds, held_out = tuple[int, ...](), None
    for word in parsed(overrides, parser):
        key, text = word.key_or_group, str(word.input_line)
        if key in (FIRST, STREAM, *REPEATS):
            _require_protocol(word)
        elif key == SEED:
            seeds = _seeds(word)
        elif word.is_hydra_override():
            own.append(text)
        elif key.partition(".")[0] in (SWEEP, LAUNCHER):
            sweep.append(text)
        elif key == HELD_OUT and not word.is_sweep_override() and word.value():
            held_out = text
        elif word.is_sweep_override():
            searched.append(word)
        else:
            fixed.append(text)
    return Words(tuple(fixed), tuple(sweep), tuple(own), tuple(searched), seeds, held_out)


def _require_protocol(word: Override) -> None:
    """Refuse to say otherwise what trials may see.

    Raises:
        ConfigError: it is said.
    """
    if word.key_or_group == STREAM and word.value() == "validation":
        return
    if word.key_or_group in REPEATS:
        raise ConfigError(
            f"{word.input_line}: a study has seed=0,1,2 and --seeds for that. Leave it out."
        )
    if word.key_or_group == FIRST:
        raise ConfigError(f"{word.input_line}: a study says it for all trials. Use --experiences.")
    raise ConfigError(f"{word.input_line}: trials are scored on validation rows. Leave it out.")


def _seeds(word: Override) -> tuple[int, ...]:
    if word.is_discrete_sweep():
        texts = list(word.sweep_string_iterator())
    else:
        texts = [] if word.is_sweep_override() else [word.get_value_element_as_str()]
    if not texts or not all(text.isdecimal() for text in texts) or len(set(texts)) < len(texts):
        raise ConfigError(f"{word.input_line}: list different whole numbers, e.g. seed=0,1,2.")
    return tuple(map(int, texts))
