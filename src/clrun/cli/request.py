"""What a command line asks of Hydra, before Hydra sees it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser

from clrun.cli.misread import require_overrides, unknown_option
from clrun.config.composing import parsed
from clrun.config.sources import RECIPES
from clrun.config.typed_words import require_short
from clrun.errors import ConfigError, cut

SWEEP_FLAGS = {
    "--retry-failed": "of a sweep that is there already, run what failed again",
    "--force": "go on with a sweep although its numbers will differ",
}
"""Options of ours that only a sweep has."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A parsed command line."""

    arguments: argparse.Namespace
    overrides: tuple[str, ...]
    words: tuple[str, ...]
    """for Hydra's own parser: options first, then overrides"""

    @property
    def only_shows(self) -> bool:
        """Help, completion, --cfg, --info: Hydra answers, nothing runs."""
        a = self.arguments
        return bool(a.help or a.hydra_help or a.cfg or a.info is not None or a.shell_completion)

    def where(self) -> dict[str, Any]:
        """The --config-* options as keywords of `compose_tree`.

        Raises:
            ConfigError: a folder does not exist.
        """
        a = self.arguments
        for option, folder in (("--config-dir", a.config_dir), ("--config-path", a.config_path)):
            if folder is not None and not Path(folder).is_dir():
                raise ConfigError(f"{option}={cut(folder)}: there is no such folder.")
        return {
            "config_dirs": [Path(a.config_dir).absolute()] if a.config_dir else [],
            "config_path": Path(a.config_path).absolute() if a.config_path else None,
            "config_name": a.config_name or "config",
        }


def parse(argv: Sequence[str]) -> Request:
    """The words as Hydra reads them; `+experiment=NAME` means `experiment=NAME`.

    Raises:
        ConfigError: an option that does not exist, or that would read a pickle.
    """
    require_short(argv)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    for flag, meaning in SWEEP_FLAGS.items():
        parser.add_argument(flag, action="store_true", help=meaning)
    known = [option for action in parser._actions for option in action.option_strings]
    for position, word in enumerate(argv):
        if word.startswith("-") and word.partition("=")[0] not in known:
            raise ConfigError(unknown_option(word, argv[position + 1 :], known))
    words = [re.sub(rf"^\+{RECIPES}=", f"{RECIPES}=", word) for word in argv]
    arguments = parser.parse_intermixed_args(words)
    if getattr(arguments, "experimental_rerun", None) is not None:
        raise ConfigError(
            "--experimental-rerun: would read a pickle, which can run any code, so no --trust lets "
            "it. Use --config-path RUN/.hydra --config-name config."
        )
    overrides = list(arguments.overrides)
    require_overrides(overrides)
    _require_companions(arguments)
    rest = [word for word in words if word not in SWEEP_FLAGS]
    for override in overrides:
        rest.remove(override)
    rest = _absolute(rest)
    return Request(arguments=arguments, overrides=tuple(overrides), words=(*rest, *overrides))


def _require_companions(arguments: argparse.Namespace) -> None:
    """Refuse what has no effect alone: Hydra would run without it, or end in a traceback."""
    shows = arguments.cfg or arguments.help
    if arguments.resolve and not shows:
        raise ConfigError("--resolve: only --cfg and --help show anything to resolve.")
    if arguments.package is not None and not arguments.cfg:
        raise ConfigError(f"--package={arguments.package}: only --cfg shows a package of keys.")


def names(overrides: Sequence[str], key: str) -> bool:
    """Whether one of these overrides sets this key."""
    return any(override.key_or_group == key for override in parsed(overrides))


def _absolute(words: Sequence[str]) -> list[str]:
    """The --config-* folders as seen from here: Hydra takes them from where its code is."""
    folders = ("--config-path", "-cp", "--config-dir", "-cd")
    absolute: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if absolute and absolute[-1] in folders:
            absolute.append(str(Path(word).absolute()))
        elif name in folders and equals:
            absolute.append(f"{name}={Path(value).absolute()}")
        else:
            absolute.append(word)
    return absolute


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}. See clrun --help and clrun --hydra-help.")
