"""The keys of an option, each with the dataclass that declares it: there it acts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clrun.cli.explained import Explained, keys_of
from clrun.config.nodes import part_schemas
from clrun.config.option_file import OptionFile, read_option
from clrun.config.schema import config_class
from clrun_reference.markdown import code, definition, plain


class Entry(NamedTuple):
    """A key of an option."""

    key: Explained
    acts: str
    """package.module:Class of the dataclass that declares it; empty for what a recipe sets"""


class Entries(NamedTuple):
    """An option with its keys."""

    group: str
    name: str
    file: OptionFile
    keys: Sequence[Entry]

    @classmethod
    def of(cls, group: str, name: str) -> Entries:
        file = read_option(group, name)
        found = keys_of(group, name, file)
        places = {} if file.target is None else _declared(file)
        keys = (Entry(k, places.get(k.path.rpartition(".")[2], "")) for k in found)
        return cls(group, name, file, list(keys))


def _declared(file: OptionFile) -> dict[str, str]:
    """The dataclass that declares each key of an option, by the key's own name."""
    values = {key.path: key.value for key in file.keys.values()}
    schema = config_class(str(file.target))
    found: dict[str, str] = {}
    for some in (*part_schemas(schema, values), schema):
        for cls in reversed(some.__mro__):
            found |= dict.fromkeys(vars(cls).get("__annotations__", ()), place_of(cls))
    return found


def place_of(cls: type) -> str:
    """package.module:Class, also of a `Config` that was read without its module."""
    module, _, owner = cls.__module__.partition("#")[0].rpartition(".")
    if "#" in cls.__module__:  # clrun.strategies.replay.Replay#Config
        return f"{module}:{owner}.Config"
    return f"{cls.__module__}:{cls.__qualname__}"


def lines_of(entries: Sequence[Entry]) -> Iterator[str]:
    """The keys, one below the other."""
    for key, acts in entries:
        kind = f"*{plain(key.kind)}*" if key.kind else ""
        yield from definition(
            code(key.typed),
            plain(key.comment),
            " · ".join(filter(None, (kind, acts and code(acts)))),
        )
