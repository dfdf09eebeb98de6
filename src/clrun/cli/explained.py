"""Keys as a person reads them: as they are typed, with what they may hold and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clrun.cli.text import shown
from clrun.config.option_file import OptionFile, read_option, read_primary
from clrun.config.sources import LOGGERS, PLUGINS, RECIPES
from clrun.config.trust import is_trusted


class Explained(NamedTuple):
    """A key as a person reads it."""

    path: str
    """as on the command line"""
    value: str
    kind: str
    """what it may hold"""
    comment: str
    section: str = ""

    @property
    def typed(self) -> str:
        """As on the command line, with its value."""
        return f"{self.path}={self.value}"


def keys_of(
    group: str, name: str, option: OptionFile, folders: Sequence[Path] = ()
) -> list[Explained]:
    """The keys that an option of a group has, or that a recipe sets."""
    if group == RECIPES:
        return list(_keys_of_a_recipe(option, folders))
    before = {PLUGINS: "", LOGGERS: f"{group}.{name}."}.get(group, f"{group}.")
    return _keys_of_an_option(option, before)


def _keys_of_an_option(option: OptionFile, prefix: str) -> list[Explained]:
    """Its keys with their types, which are those of the dataclass of its class."""
    from clrun.config.nodes import hints_of
    from clrun.config.words import in_words  # with pydantic, which a list does without

    values = {key.path: key.value for key in option.keys.values()}
    # the types of a class that only a file names would need its code
    hints = hints_of(str(option.target), values) if is_trusted(str(option.target)) else {}
    return [
        Explained(
            f"{prefix}{key.path}",
            shown(key.value),
            in_words(hints[key.path]) if key.path in hints else "",
            key.comment,
            key.section,
        )
        for key in option.keys.values()
    ]


def _keys_of_a_recipe(recipe: OptionFile, folders: Sequence[Path]) -> Iterator[Explained]:
    """What it sets, explained by the options that it chooses or leaves as they are."""
    primary = read_primary(folders)
    choices = {**primary.choices, **recipe.choices}
    known = {key.path: key for key in with_types(keys_of_no_group(folders))}
    for group in dict.fromkeys(path.partition(".")[0] for path in recipe.keys):
        if group in choices:
            option = read_option(group, choices[group], folders)
            known |= {key.path: key for key in _keys_of_an_option(option, f"{group}.")}
    for path, key in recipe.keys.items():
        about = known.get(path)
        kind, comment = (about.kind, about.comment) if about else ("", "")
        yield Explained(path, shown(key.value), kind, key.comment or comment)


def keys_of_no_group(folders: Sequence[Path] = ()) -> list[Explained]:
    """The keys at the root and in its mappings, such as `checkpoint`, without their types."""
    return [
        Explained(key.path, shown(key.value), "", key.comment)
        for key in read_primary(folders).keys.values()
        if not key.path.startswith("hydra.")
    ]


def with_types(keys: Iterable[Explained]) -> Iterator[Explained]:
    """The same keys of no group, with what they may hold."""
    from clrun.config.words import in_words  # with pydantic, which a list does without

    hints = types_of_no_group()
    for key in keys:
        yield key._replace(kind=in_words(hints[key.path])) if key.path in hints else key


def types_of_no_group() -> dict[str, Any]:
    """The type of each key of no group, by its path."""
    from clrun.config.run_config import Cadence, RepeatKeys, Root, SweepKeys
    from clrun.config.schema import field_types

    return {
        f"{prefix}{name}": hint
        for prefix, schema in (
            *(("", Root), ("", RepeatKeys)),
            *(("checkpoint.", Cadence), ("sweep.", SweepKeys)),
        )
        for name, hint in field_types(schema).items()
    }
