"""Words on the command line that are neither option nor KEY=VALUE: what was meant by them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clrun.cli.verbs import VERBS
from clrun.config.meant import plugin_of
from clrun.config.option_file import read_option, read_primary
from clrun.config.sources import GROUPS, LOGGERS, RECIPES, options
from clrun.config.usual_names import usual_key, usual_option
from clrun.errors import ConfigError, did_you_mean

OTHER_PROGRAMS = {
    "-V": "clrun version",
    "--list": "clrun list",
    "--dry-run": "clrun --cfg job",
    "--print-config": "clrun --cfg job",
    "--print_config": "clrun --cfg job",
    "--sweep": "-m",
    "--seeds": "-m 'seed=range(5)'",
    "--config": "--config-dir DIR with experiment=NAME",
}
"""Options that people know from other programs, and what does that here."""


def require_overrides(words: Sequence[str]) -> None:
    """Refuse the first word that has no =, and say what it should have been.

    Raises:
        ConfigError: there is such a word.
    """
    for position, word in enumerate(words):
        if word.startswith("~"):
            continue
        whole = _closed(words[position:])
        if whole != word and not _is_open(whole):
            raise ConfigError(f"{word}: the shell cut this at a blank. Quote the whole: '{whole}'.")
        following = words[position + 1 :]
        if "=" not in word or word[0] == "=" or (word[-1] == "=" and _is_bare(following)):
            raise ConfigError(_meant(word, following))


def unknown_option(word: str, following: Sequence[str], known: Sequence[str]) -> str:
    """The line for an option that does not exist."""
    name, equals, value = word.partition("=")
    key = name.lstrip("-").replace("-", "_")
    line = f"{word}: there is no such option."
    if name in OTHER_PROGRAMS:
        return f"{line} Write {OTHER_PROGRAMS[name]}."
    if key in VERBS:
        return f"{line} A verb has no dashes: clrun {key}."
    guess = did_you_mean(name, known)
    ours = _key(key)
    if ours is not None:
        given = value if equals else following[0] if _is_bare(following) else "VALUE"
        return f"{line} Keys have no dashes: write {ours}={given}."
    return f"{line}{guess} See clrun --help, and clrun --hydra-help for Hydra's options."


def _meant(word: str, following: Sequence[str]) -> str:
    """The line for a word without =."""
    name = word.strip("=")
    if word.endswith("=") or (following and following[0].startswith("=")):
        value = next((w.strip("=") for w in following[:2] if w.strip("=")), "VALUE")
        return f"{word}: no blanks around =. Write {name}={value}."
    line = f"{word}: is neither a verb nor KEY=VALUE."
    if name in VERBS:
        return f"{word}: a verb comes first: clrun {name} ..."
    if name in (*GROUPS, LOGGERS, RECIPES):
        known = [option.name for option in options(name)]
        return f"{line} To choose, write {name}=OPTION. Options: {', '.join(known)}."
    choice = _choice(name)
    if choice is not None:
        return f"{line} Write {choice}."
    if name.endswith((".yaml", ".yml")):
        return (
            f"{line} A YAML file of your own is an option in a folder: "
            f"clrun --config-dir DIR experiment={Path(name).stem} for DIR/experiment/{name}."
        )
    if Path(name).exists():
        return f"{line} For images of your own: benchmark=folder benchmark.data_root={name}."
    key = _key(name)
    if key is not None:
        return f"{line} Write {key}=VALUE."
    guess = did_you_mean(name, [*VERBS, *GROUPS, LOGGERS])
    return f"{line}{guess} Verbs: {', '.join(VERBS)}."


def _choice(name: str) -> str | None:
    """The words that choose what a bare name means: an option of a group, a plugin, a recipe."""
    for group in (*GROUPS, LOGGERS, RECIPES):
        if name in [option.name for option in options(group)]:
            return f"{group}={name}"
    found = (usual_option(group, name) for group in GROUPS)
    return next((words for words in found if words), None) or plugin_of(name)


def _key(name: str) -> str | None:
    """The key that a name means, with its group."""
    primary = read_primary()
    if name in primary.keys or name in GROUPS:
        return name
    group, _, last = name.rpartition(".")
    for home in [group] if group in GROUPS else GROUPS:
        option = read_option(home, primary.choices[home])
        if last in option.keys:
            return f"{home}.{last}"
    return usual_key(name)


def _is_bare(words: Sequence[str]) -> bool:
    """Whether a word comes next that is the value of the one before."""
    return bool(words) and "=" not in words[0].strip("=") and not words[0].startswith("-")


def _is_open(word: str) -> bool:
    """Whether more brackets are opened than closed, outside of quotes."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "", word)
    return sum(map(text.count, "[{(")) > sum(map(text.count, "]})"))


def _closed(words: Sequence[str]) -> str:
    """Words joined until their brackets are closed."""
    whole = words[0]
    for word in words[1:]:
        if not _is_open(whole):
            break
        whole = f"{whole} {word}"
    return whole
