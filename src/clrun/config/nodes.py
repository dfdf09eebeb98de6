"""Nodes of the configuration: the values of a component's `Config`, and of the parts it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from clrun.config.bases import keys_class
from clrun.config.problems import as_read, read, unknown_keys
from clrun.config.run_config import Node
from clrun.config.schema import config_class, field_types
from clrun.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Part:
    """Marks a key, as in `Annotated[str, Part(...)]`, that names a component with a `Config` too.

    The part's keys stand beside this one, in the same node; a key that both have has one value. A
    `Config` with such keys has a method `check_parts`, which is given the part's `Config` by the
    name of its key and raises ValueError for what does not go together.
    """

    known: Mapping[str, str]
    """short name -> package.module:Class"""

    def target(self, name: str) -> str:
        """The component that a short name, or package.module:Class, means.

        Raises:
            ValueError: it is neither.
        """
        if ":" not in name and name not in self.known:
            raise ValueError(
                f"must be one of {', '.join(self.known)}, or package.module:Class."
                f"{did_you_mean(name, list(self.known))}"
            )
        return self.known.get(name, name)


def read_node(
    group: str, option: str, target: str, values: Mapping[str, Any]
) -> tuple[Node | None, list[str]]:
    """The checked node of a component and its parts, or None, and every problem with it."""
    prefix = f"{group}."
    try:
        schema = keys_class(group, target)
    except ConfigError as error:
        return None, [f"{prefix}{problem}" for problem in error.problems]
    targets, problems = _targets(prefix, values, schema)
    if problems:
        return None, problems
    schemas = {key: config_class(named) for key, named in targets.items()}
    allowed = dict.fromkeys(name for some in (schema, *schemas.values()) for name in _names(some))
    problems = unknown_keys(prefix, values, list(allowed))
    config, more = read(prefix, _of(schema, values), schema)
    problems += more
    parts = {}
    for key, part_schema in schemas.items():
        own = _of(part_schema, values)
        part, more = read(prefix, own, part_schema)
        problems += more
        parts[key] = Node(
            f"{group}.{key}", str(values[key]), targets[key], as_read(own, part), part
        )
    if problems:
        return None, list(dict.fromkeys(problems))  # a key that both read has one line
    if parts:
        try:
            config.check_parts(**{key: part.config for key, part in parts.items()})
        except ValueError as error:
            return None, [f"{prefix}{error}"]
    for part in (config, *(node.config for node in parts.values())):
        values = as_read(values, part)
    return Node(group, option, target, values, config, parts), []


def part_schemas(schema: type, values: Mapping[str, Any]) -> Iterator[type]:
    """The `Config` of each part that these values name rightly."""
    targets, _ = _targets("", values, schema)
    yield from (config_class(target) for target in targets.values())


def hints_of(target: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The type of each key of a component and of the parts that these values name."""
    schema = config_class(target)
    hints: dict[str, Any] = {}
    for some in (*part_schemas(schema, values), schema):
        hints |= field_types(some)
    return hints


def _targets(
    prefix: str, values: Mapping[str, Any], schema: type
) -> tuple[dict[str, str], list[str]]:
    """The class of each part that is named, and what is wrong with the names."""
    targets, problems = {}, []
    for key, part in _parts(schema):
        name = values.get(key)
        if not isinstance(name, str):
            continue  # `read` says so
        try:
            targets[key] = part.target(name)
            config_class(targets[key])
        except ValueError as error:
            problems.append(f"{prefix}{key}={name}: {error}")
        except ConfigError as error:
            problems += [f"{prefix}{key}{p.removeprefix('target')}" for p in error.problems]
    return targets, problems


def _parts(schema: type) -> Iterator[tuple[str, Part]]:
    for key, hint in field_types(schema).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Part):
                yield key, mark


def _names(schema: type) -> list[str]:
    return [field.name for field in fields(schema)]


def _of(schema: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names = _names(schema)
    return {key: value for key, value in values.items() if key in names}
