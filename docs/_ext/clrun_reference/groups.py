"""The page of a group: its options with their own keys, then the keys that they share, once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from clrun.cli.text import shown
from clrun.config.option_file import read_base
from clrun.config.sources import LOGGERS, PLUGINS, RECIPES, options
from clrun_reference.entries import Entries, Entry, lines_of
from clrun_reference.markdown import code, page, paragraphs, plain

MEANINGS: Mapping[str, str] = {
    "strategy": "How the model learns from the stream.",
    "storage_policy": "Who gets a place in the memory.",
    "selection": "Which rows of an experience or a class are kept.",
    "benchmark": "The stream of experiences: a source of images and how it is cut.",
    "model": "The network.",
    "device": "Where and how it is computed.",
    "eval": "When and on what the model is scored.",
    "launcher": "What starts the workers of a sweep. It is no part of a run.",
    LOGGERS: "Where numbers go besides `metrics.jsonl`. Several at once: `'logger=[csv,wandb]'`.",
    PLUGINS: "Parts of a strategy of descent: `'strategy.plugins=[{name: NAME, KEY: VALUE}]'`.",
    RECIPES: "Recipes: each is one YAML file that sets keys of the other groups.",
}

Shared = Mapping[str, Mapping[str, Entry]]
"""What a section says it is -> path of a key -> the key with the value of the section's file"""


def group_page(group: str) -> str:
    """The page of a group."""
    all_entries = [Entries.of(group, option.name) for option in options(group)]
    shared = _shared(all_entries)
    body = [line for entries in all_entries for line in _option(entries, shared)]
    return page(
        f"{group}", [MEANINGS[group], ""], body, *(_section(s, keys) for s, keys in shared.items())
    )


def _shared(all_entries: Sequence[Entries]) -> Shared:
    """The keys of the files that options are based on."""
    found: dict[str, dict[str, Entry]] = {}
    for entries in all_entries:
        for entry in entries.keys:
            if entry.key.section:
                found.setdefault(entry.key.section, {}).setdefault(_name(entry), entry)
    for section, keys in found.items():
        base = read_base(_place(section)).keys
        for name, (key, acts) in keys.items():
            keys[name] = Entry(key._replace(value=shown(base[name].value)), acts)
    return found


def _name(entry: Entry) -> str:
    """The key's name within its group."""
    return entry.key.path.partition(".")[2] or entry.key.path


def _place(section: str) -> str:
    """The file of a section, such as strategy/_descent."""
    found = re.search(r"\((\S+)\.yaml\)", section)
    assert found is not None, section
    return found[1]


def _option(entries: Entries, shared: Shared) -> Iterator[str]:
    """An option: what it is, its own keys, and where it differs from those that it shares."""
    file = entries.file
    yield from (f"## {entries.group}={entries.name}", "")
    yield from paragraphs(file.header)
    yield from _about(file.target, file.choices)
    yield from lines_of([entry for entry in entries.keys if _is_own(entry, shared)])
    used = dict.fromkeys(entry.key.section for entry in entries.keys if entry.key.section)
    if used:
        names = ", ".join(f"[{_place(section)}](#{_anchor(section)})" for section in used)
        yield from (f"The other keys are those of {names}.", "")


def _about(target: str | None, choices: Mapping[str, str]) -> Iterator[str]:
    if target is not None:
        yield from (f"Class: {code(target)}", "")
    if choices:
        chosen = ", ".join(code(f"{group}={option}") for group, option in choices.items())
        yield from (f"Chooses {chosen}; the command line still wins.", "")


def _is_own(entry: Entry, shared: Shared) -> bool:
    """Whether the option says more of it than the section that it shares."""
    section = entry.key.section
    return not section or shared[section][_name(entry)] != entry


def _section(section: str, keys: Mapping[str, Entry]) -> Iterator[str]:
    yield from (f"## Shared keys: {_place(section)}", "")
    yield from (plain(section.partition(" ")[2].partition(". ")[2]), "")
    yield from lines_of(list(keys.values()))


def _anchor(section: str) -> str:
    return f"shared-keys-{_place(section).replace('/', '')}"
