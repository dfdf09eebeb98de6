"""The `clrun` command: verbs have their own parsers, everything else is Hydra's. No torch here."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from clrun.cli.verbs import VERBS
from clrun.config.trust import Trust, trusting
from clrun.console.encoding import print_nearest
from clrun.console.screen import let_readers_leave
from clrun.console.visible import VisibleStream, one_line
from clrun.disk.secrets import hidden_text
from clrun.errors import ClrunError, ConfigError, StorageError
from clrun.runner.interrupt import Interrupted, leave, stopped_by_signals

CONFIG_OPTIONS = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
"""Hydra's options that have a value, as far as verbs take them too."""

NOWHERE = "the folder that clrun was started in is gone."

SIGNALLED = 128
"""What an exit code is above where a signal ended the process."""


def command() -> int:
    """What the installed `clrun` runs: the command line of this process, which ends afterwards."""
    let_readers_leave()
    code = main()
    if code > SIGNALLED:
        leave()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code (see clrun.errors)."""
    try:
        with stopped_by_signals():
            return _code(argv)
    except Interrupted as error:
        return _failed([str(error)], error.exit_code, debug=False)


def _code(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("HYDRA_FULL_ERROR") == "1"
    trust = Trust(everything="--trust" in words)
    words = [word for word in words if word not in ("--debug", "--trust")]
    logging.raiseExceptions = debug  # or each line that does not fit on a disk is a traceback
    before = sys.stdout, sys.stderr
    print_nearest()
    try:
        with trusting(trust):
            return _done(words, debug)
    finally:
        if isinstance(sys.stdout, VisibleStream):
            sys.stdout = before[0]
        if isinstance(sys.stderr, VisibleStream):
            sys.stderr = before[1]


def _done(words: list[str], debug: bool) -> int:
    """Do what the words ask for; the exit code."""
    try:
        words = _verb_first(words)
        if words and words[0] in VERBS:
            return int(import_module(VERBS[words[0]].module).main(words[1:]))
        from clrun.cli import hydra_app  # Hydra takes 0.3 s to import

        return hydra_app.main(words[1:] if words[:1] == ["run"] else words)
    except ConfigError as error:
        if not _is_somewhere():  # which Hydra meets first, with other words
            return _failed([NOWHERE], StorageError.exit_code, debug)
        return _failed(error.problems, error.exit_code, debug)
    except ClrunError as error:
        return _failed([str(error)], error.exit_code, debug)
    except KeyboardInterrupt:
        return _failed(["interrupted."], 130, debug)
    except Exception as error:
        line, code = _unexpected(error, debug)
        return _failed([line], code, debug)


def _unexpected(error: Exception, debug: bool) -> tuple[str, int]:
    """The line and the exit code for an error that nobody has made a line of."""
    from clrun.disk.files import NO_STORAGE, storage_error  # 40 ms, which nobody else waits for

    if isinstance(error, OSError) and error.errno in NO_STORAGE:
        place = error.filename or ("standard output" if _is_output_lost() else "a file")
        failure = storage_error(error, place)
        return str(failure), failure.exit_code
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return NOWHERE, StorageError.exit_code
    hint = "" if debug else " (--debug shows the traceback)"
    return f"{type(error).__name__}: {error}{hint}", 1


def _is_somewhere() -> bool:
    """Whether the current folder still is one."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _is_output_lost() -> bool:
    """Whether it is standard output that cannot be written; what it holds is then dropped."""
    try:
        print(flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return True
    return False


def _verb_first(words: list[str]) -> list[str]:
    """The words with their verb before the --config-* options, which people type in both orders."""
    if words[:1] == ["--version"]:  # Hydra's own would be Hydra's version
        return ["version", *words[1:]]
    place = 0
    while place < len(words) and words[place].startswith("-"):
        has_value = words[place] in CONFIG_OPTIONS
        place += 2 if has_value else 1
    if place and place < len(words) and words[place] in (*VERBS, "run"):
        return [words[place], *words[:place], *words[place + 1 :]]
    return words


def _failed(problems: Sequence[str], code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    for problem in problems:
        print(f"clrun: {one_line(hidden_text(problem))}", file=sys.stderr)
    return code
