"""`clrun help`: the verbs, a group's options, an option's keys with comment, type and bounds.

The site's reference shows the same keys: both are made of `clrun.cli.explained`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from clrun.cli.explained import Explained, keys_of, keys_of_no_group, with_types
from clrun.cli.list_options import LISTED, METRICS, entries
from clrun.cli.parser import OneLineParser
from clrun.cli.text import columns, line_width, paragraphs, wrapped
from clrun.cli.topics import TOPICS
from clrun.cli.verbs import VERBS
from clrun.config.option_file import OptionFile, read_option, read_primary
from clrun.config.sources import LOGGERS, PLUGINS, make_importable
from clrun.errors import ConfigError, did_you_mean


def main(argv: Sequence[str]) -> int:
    """Explain each word: a verb, GROUP or GROUP=OPTION; without words, what there is.

    Raises:
        ConfigError: a word is none of these.
    """
    parser = OneLineParser(
        prog="clrun help", description="Explain verbs, groups and options: their keys and bounds."
    )
    parser.add_argument("word", nargs="*", help="GROUP=OPTION, GROUP, a verb, or a topic")
    parser.add_argument(
        "--config-dir", "-cd", action="append", default=[], help="a folder of your own"
    )
    arguments = parser.parse_args(argv)
    folders = [Path(folder) for folder in arguments.config_dir]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir={folder}: there is no such folder.")
    make_importable(folder.absolute() for folder in folders)
    if not arguments.word:
        _print(_overview(folders))
    for position, word in enumerate(arguments.word):
        if position:
            print()
        if word in VERBS:
            return int(import_module(VERBS[word].module).main(["--help"]))
        _print(_explained(word, folders))
    return 0


def _explained(word: str, folders: Sequence[Path]) -> Iterator[str]:
    """What is said of a word that is no verb."""
    if word in TOPICS:
        return _topic(word)
    own = [key for key in keys_of_no_group(folders) if key.path.startswith(f"{word}.")]
    if own:  # such as sweep, which is no group
        return iter((f"{word}.KEY", "", *_lines(with_types(own))))
    group, equals, option = word.partition("=")
    _require_group(word, group)
    if not equals:
        return _group(group, folders)
    return _metric(option) if group == METRICS else _option(group, option, folders)


def _require_group(word: str, group: str) -> None:
    if group not in LISTED:
        guess = did_you_mean(group, [*LISTED, *([] if "=" in word else (*VERBS, *TOPICS))])
        kind = "group" if "=" in word else "verb or group"
        raise ConfigError(
            f"help {word}: there is no such {kind}.{guess} "
            f"Groups: {', '.join(LISTED)}. Verbs: {', '.join(VERBS)}. "
            f"Topics: {', '.join(TOPICS)}."
        )


def _overview(folders: Sequence[Path]) -> Iterator[str]:
    """What `clrun help` alone prints."""
    primary = read_primary(folders)
    yield "clrun [GROUP=OPTION | KEY=VALUE ...]  runs one experiment; with -m, a sweep"
    yield "clrun VERB ...                        does something else; see clrun help VERB"
    yield "clrun --config-dir DIR ...            with options of your own"
    yield "clrun --trust ...                     lets files name code that is not clrun's"
    yield "clrun --debug ...                     shows the traceback of an error"
    yield from ("", "Verbs")
    yield from columns([(name, verb.summary) for name, verb in VERBS.items()])
    yield from ("", "Groups: clrun help GROUP lists the options, GROUP=OPTION explains one")
    yield from columns([(group, _size(group, folders, primary)) for group in LISTED])
    yield from ("", "Topics: clrun help TOPIC")
    yield from columns([(word, topic.summary) for word, topic in TOPICS.items()])
    yield from ("", "Keys of no group")
    yield from _lines(keys_of_no_group(folders))


def _topic(word: str) -> Iterator[str]:
    """What `clrun help exit_codes` and its like print."""
    for position, table in enumerate(TOPICS[word].tables()):
        if position:
            yield ""
        yield table.caption
        for name, meaning in table.rows.items():
            yield f"  {name}"
            yield from wrapped(meaning, 6)


def _size(group: str, folders: Sequence[Path], primary: OptionFile) -> str:
    """How many options a group has, and which is chosen where the command line chooses none."""
    if group == METRICS:  # NumPy takes 0.1 s to import
        return "what a run reports in results.json"
    count = len(list(entries(group, folders)))
    default = primary.choices.get(group, "None")
    text = f"{count} option{'' if count == 1 else 's'}"
    return text if default == "None" else f"{text}; {default} unless you choose"


def _group(group: str, folders: Sequence[Path]) -> Iterator[str]:
    """What `clrun help GROUP` prints."""
    yield group
    yield from columns(list(entries(group, folders)))
    yield from ("", f"clrun help {group}=OPTION explains one.")


def _option(group: str, name: str, folders: Sequence[Path]) -> Iterator[str]:
    """What `clrun help GROUP=OPTION` prints."""
    option = read_option(group, name, folders)
    origin = "" if option.provider == "clrun" else f"  [{option.provider}]"
    yield f"{group}={name}{origin}"
    yield from paragraphs(option.header)
    if option.target is not None:
        yield f"  Class: {option.target}"
    if option.choices:
        chosen = ", ".join(f"{other}={choice}" for other, choice in option.choices.items())
        yield from wrapped(f"Chooses {chosen}; the command line still wins.", 2)
    if group == PLUGINS:
        yield from wrapped(f"Add it with 'strategy.plugins=[{{name: {name}, KEY: VALUE}}]'.", 2)
    if group == LOGGERS:
        yield from wrapped(f"Several at once: 'logger=[{name},...]'.", 2)
    keys = keys_of(group, name, option, folders)
    for section in sorted({key.section for key in keys}, key=lambda section: section != ""):
        yield ""
        yield from wrapped(section, 0)
        yield from _lines(key for key in keys if key.section == section)


def _metric(name: str) -> Iterator[str]:
    from clrun.metrics import all_metrics

    known = all_metrics()
    if name not in known:
        raise ConfigError(
            f"{METRICS}={name}: there is no such metric.{did_you_mean(name, list(known))} "
            f"Metrics: {', '.join(known)}."
        )
    metric = known[name]
    yield f"{METRICS}={name}"
    yield from wrapped(f"{metric.label}: {metric.meaning}; {metric.better} is better.", 2)


def _lines(keys: Iterable[Explained]) -> Iterator[str]:
    """A key as it is typed, what it may hold, and what it is."""
    for key in keys:
        aside = f"  ({key.kind})" if key.kind else ""
        if len(key.typed) + len(aside) + 2 <= line_width():
            yield f"  {key.typed}{aside}"
        else:
            yield f"  {key.typed}"
            yield from wrapped(aside.strip(), 6)
        yield from wrapped(key.comment, 6)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
