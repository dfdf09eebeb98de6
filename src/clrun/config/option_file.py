"""An option's YAML as a person reads it: its header, and its keys with their comments.

Keys may come from files that its Hydra defaults name (`_descent`, `_split`): they are read from
there, with the value that the option gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from clrun.config.sources import folders, options
from clrun.config.yaml_file import SafeLoader, yaml_errors, yaml_text
from clrun.errors import ConfigError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of an option."""

    path: str
    """with dots where it is nested"""
    value: Any
    comment: str
    section: str = ""
    """the file that explains it, and what that says it is; empty for the option's own file"""


@dataclass(frozen=True, kw_only=True)
class OptionFile:
    """What an option's YAML says, with what it is based on."""

    header: str
    """the comment at its top"""
    target: str | None
    """package.module:Class; None for a recipe"""
    choices: Mapping[str, str]
    """group -> option, where it chooses one of another group"""
    keys: Mapping[str, Key]
    """by path"""
    provider: str
    """clrun, or the configuration package or folder that it comes from"""


def read_option(group: str, name: str, extra: Sequence[Path] = ()) -> OptionFile:
    """The option, from the first folder that has it: `extra`, ours, those of installed packages.

    Raises:
        ConfigError: the group has no such option, or a file that it is based on is not there.
    """
    known = [option.name for option in options(group, extra)]
    if name not in known:
        guess = did_you_mean(name, known)
        raise ConfigError(
            f"{group}={name}: there is no such option.{guess} Options: {', '.join(known)}."
        )
    return _read(f"{group}/{name}", extra)


def read_primary(extra: Sequence[Path] = ()) -> OptionFile:
    """The primary configuration: the default option of each group, and the keys of none."""
    return _read("config", extra)


def read_base(place: str) -> OptionFile:
    """A file of ours that options are based on, such as `strategy/_descent`."""
    return _read(place, ())


def _read(place: str, extra: Sequence[Path], above: Sequence[str] = ()) -> OptionFile:
    """The file at `group/name`, on top of the files that it names; `above` are those that led here.

    Raises:
        ConfigError: a file is not there, or includes itself.
    """
    if place in above:
        raise ConfigError(f"{place}.yaml: a file includes itself.")
    document = _document(place, extra)
    target, choices = document.target, dict(document.choices)
    keys: dict[str, Key] = {}
    for base_place in document.bases:
        base = _read(base_place, extra, (*above, place))
        target, choices = target or base.target, {**base.choices, **choices}
        section = f"Shared keys ({base_place}.yaml). {_first_line(base.header)}"
        keys |= {p: replace(key, section=key.section or section) for p, key in base.keys.items()}
    for path, key in document.keys.items():
        if path in keys and not key.comment:  # another value for what the base explains
            key = replace(keys[path], value=key.value)
        keys[path] = key
    return OptionFile(
        header=document.header,
        target=target,
        choices=choices,
        keys=keys,
        provider=document.provider,
    )


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


@dataclass(frozen=True, kw_only=True)
class _Document:
    """What one YAML file says by itself."""

    header: str
    target: str | None
    bases: Sequence[str]
    """places of the files that its defaults name"""
    choices: Mapping[str, str]
    keys: Mapping[str, Key]
    provider: str


def _document(place: str, extra: Sequence[Path]) -> _Document:
    places = [(provider, folder / f"{place}.yaml") for provider, folder in folders(extra)]
    provider, path = next((found for found in places if found[1].is_file()), (None, None))
    if provider is None or path is None:
        raise ConfigError(f"{place}.yaml: no configuration folder has such a file.")
    text = yaml_text(path)
    with yaml_errors(path):
        content, node = (
            yaml.load(text, Loader=SafeLoader) or {},
            yaml.compose(text, Loader=SafeLoader),
        )
    defaults = _entries(content.get("defaults"))
    lines = text.splitlines()
    keys = _keys(node, lines, "") if isinstance(node, yaml.MappingNode) else ()
    return _Document(
        header=_header(lines),
        target=str(content["target"]) if content.get("target") is not None else None,
        bases=[_base(entry, place) for entry in defaults if _is_base(entry)],
        choices=dict(_choice(entry) for entry in defaults if isinstance(entry, dict)),
        keys={k.path: k for k in keys if k.path not in ("defaults", "target")},
        provider=provider,
    )


def _entries(defaults: object) -> list[Any]:
    """The entries of a defaults list that have a form of Hydra's, which refuses the others."""
    known = defaults if isinstance(defaults, list) else []
    return [e for e in known if isinstance(e, str) or (isinstance(e, dict) and len(e) == 1)]


def _is_base(entry: object) -> bool:
    return isinstance(entry, str) and entry != "_self_"


def _base(entry: str, place: str) -> str:
    """Where an entry such as `_descent` or `/strategy/_descent@_here_` leads from this place."""
    name = entry.partition("@")[0]
    return name[1:] if name.startswith("/") else f"{place.rpartition('/')[0]}/{name}".lstrip("/")


def _choice(entry: Mapping[str, Any]) -> tuple[str, str]:
    """(group, option) of an entry such as `override /model@_global_.model: mobilenet_v1`."""
    [(words, option)] = entry.items()
    return (str(words).split() or [""])[-1].partition("@")[0].lstrip("/"), str(option)


def _header(lines: Sequence[str]) -> str:
    """The comment at the top, without its directives for Hydra."""
    header = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            header.append(line[1:].removeprefix(" "))
    return "\n".join(header).strip()


def _keys(node: yaml.MappingNode, lines: Sequence[str], prefix: str) -> Iterator[Key]:
    """The leaves of a mapping, in order."""
    for name, value in node.value:
        path = f"{prefix}{name.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _keys(value, lines, f"{path}.")
        else:
            yield Key(path=path, value=_plain(value), comment=_comment(name, value, lines))


def _plain(node: yaml.Node) -> Any:
    return yaml.constructor.SafeConstructor().construct_document(node)


def _comment(name: yaml.Node, value: yaml.Node, lines: Sequence[str]) -> str:
    """What stands beside a key, and on the lines below where it goes on."""
    is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value
    end = name.end_mark if is_block else value.end_mark
    beside = lines[end.line][end.column :].lstrip(" :") if end.line < len(lines) else ""
    if not beside.startswith("#"):
        return ""
    found = [beside]
    for line in lines[end.line + 1 :]:
        indent = len(line) - len(line.lstrip())
        if not line.lstrip().startswith("#") or indent <= name.start_mark.column:
            break
        found.append(line.strip())
    return " ".join(text.lstrip("# ").rstrip() for text in found)
