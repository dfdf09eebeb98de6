"""The fork server: a process that has torch loaded, from which others start within milliseconds.

It is the standard library's, which starts with the first process that is asked for, and again if it
died. It computes nothing and never looks for a GPU: a process that has touched CUDA cannot be
forked. No torch here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType
from typing import Any, TypeVar, cast

from clrun.config.trust import Trust, trust_now, trusting
from clrun.errors import ClrunError, ConfigError
from clrun.sweep.endings import ending
from clrun.sweep.watching import STARTER, die_with, die_with_starter

Result = TypeVar("Result")

CALLS = 3
"""How often a call is made whose process is killed; then there is no memory for it, maybe."""

PRELOADED = "clrun.sweep.preloaded"

ATTEMPTS = 3
"""How often a server is started that dies before it has made a process."""

DEATH_SECONDS = 1.0
"""What a busy machine needs until a process that was killed is gone, and not asked once more."""


@dataclass(frozen=True)
class Surroundings:
    """What a process of the server's takes from who asked for it, as any other child does."""

    environment: Mapping[str, str]
    folder: str
    trust: Trust

    @staticmethod
    def here() -> Surroundings:
        return Surroundings(dict(os.environ), os.getcwd(), trust_now())

    def enter(self) -> None:
        """Let this process have them."""
        if self.environment != dict(os.environ):
            os.environ.clear()
            os.environ.update(self.environment)
        os.chdir(self.folder)


@cache
def context() -> ForkServerContext:
    """Makes processes that have torch and clrun's part of it loaded, with one thread.

    Raises:
        ConfigError: this system cannot fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise ConfigError(
            f"launcher=local: {sys.platform} cannot fork processes. Use hydra/launcher=basic."
        )
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([PRELOADED])
    return found


def warm_up() -> None:
    """Let the server start now, while this process does something else.

    It lives as long as the thread that started it: that is the main one's to do.
    """
    context()
    with _as_starter():
        forkserver.ensure_running()


def started(
    function: Callable[..., Any], *arguments: Any, daemon: bool = False
) -> ForkServerProcess:
    """A fresh process of the server's that calls this.

    A `daemon` ends with this process and may have no processes of its own.

    Raises:
        ClrunError: there is no server that starts one.
    """
    for _ in range(ATTEMPTS):
        process = context().Process(target=function, args=arguments, daemon=daemon)
        try:
            with _as_starter():
                process.start()
        except (EOFError, ConnectionError):  # it died; the next attempt starts another
            time.sleep(DEATH_SECONDS)
            continue
        return process
    raise ClrunError(f"the fork server died {ATTEMPTS} times while it started.")


@contextmanager
def _as_starter() -> Iterator[None]:
    """Let a server that starts inside know who starts it.

    The script that this process runs is hidden from the standard library, which would run it again
    in each process: nothing of it is needed there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ[STARTER] = str(os.getpid())
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        del os.environ[STARTER]


def called(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of a module in a fresh process that has torch; what it returns.

    Arguments and value travel by pickle, and errors of ours come out as they were raised. It only
    looks: where somebody kills the process, it is called again.

    Raises:
        ClrunError: what it raised, or the process died.
    """
    for _ in range(CALLS):
        answer, code = _called(function, arguments)
        if answer is not None:
            value, error = answer
            if error is not None:
                raise error
            return cast(Result, value)
        if code != -signal.SIGKILL:
            break
    raise ClrunError(f"a process that was to look at the runs {ending(code)}.")


def _called(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[tuple[Any, ClrunError | None] | None, int]:
    """Value and error, or nothing where the process died; and its exit code."""
    mine, its = context().Pipe(duplex=False)
    process = started(_answer, its, Surroundings.here(), function, arguments, daemon=True)
    answer = None
    try:
        with mine:
            its.close()
            answer = mine.recv()
    except EOFError:
        process.join()
    finally:
        process.kill()  # its answer is here, or a signal ended the wait for it
        process.join()
    return answer, process.exitcode or 0


def _answer(
    answer: Connection,
    surroundings: Surroundings,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """What the fresh process does."""
    die_with_starter()
    die_with(multiprocessing.parent_process())
    surroundings.enter()
    value, failure = None, None
    with trusting(surroundings.trust):
        try:
            value = function(*arguments)
        except ClrunError as error:
            failure = error.with_traceback(None)
            failure.__cause__ = failure.__context__ = None
        except Exception as error:
            failure = as_ours(error)
    answer.send((value, failure))
    answer.close()


def as_ours(error: BaseException) -> ClrunError:
    """What somebody's code has raised, as an error of ours; its traceback is the first note."""
    failure = ClrunError(f"{type(error).__name__}: {error}")
    failure.add_note("".join(traceback.format_exception(error)))
    return failure
