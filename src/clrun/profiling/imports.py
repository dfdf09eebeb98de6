"""Seconds that importing takes, package by package. No torch here."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    ExtensionFileLoader,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType
from typing import Any

from clrun.profiling.clocks import Clocks

OWN_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)
"""Each of these loads one module; others may be shared by many, and are left as they are."""


class TimedImports(MetaPathFinder):
    """Finds modules as all other finders together do, and times their execution."""

    def __init__(self, clocks: Clocks) -> None:
        self.packages: dict[str, float] = defaultdict(float)
        """package -> seconds of its own modules; another package that it imports has its own"""
        self.modules: list[tuple[str, str, float]] = []
        """(module, phase, seconds with all that it imports) of what clrun itself imports"""
        self._clocks, self._thread = clocks, threading.get_ident()
        self._inner: list[float] = []  # for each module being imported: seconds of those inside
        self._importing: list[str] = []  # their packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        finders = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in finders)
        spec = next((spec for spec in specs if spec is not None), None)
        loader: Any = None if spec is None else spec.loader
        if isinstance(loader, OWN_LOADERS):
            timed = partial(self._timed, fullname, loader.exec_module)
            loader.exec_module = timed  # type: ignore[method-assign]
        return spec

    def _timed(self, name: str, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        if self not in sys.meta_path or threading.get_ident() != self._thread:
            return execute(module)
        package = name.partition(".")[0]
        is_asked_for_by_us = package != "clrun" and set(self._importing) <= {"clrun"}
        self._inner.append(0.0)
        self._importing.append(package)
        start = time.perf_counter()
        try:
            with self._clocks.span("imports"):
                execute(module)
        finally:
            seconds = time.perf_counter() - start
            self._importing.pop()
            self.packages[package] += seconds - self._inner.pop()
            if self._inner:
                self._inner[-1] += seconds
            if is_asked_for_by_us:
                self.modules.append((name, self._clocks.phase_now, seconds))


@contextmanager
def timed_imports(clocks: Clocks) -> Iterator[TimedImports]:
    """Everything imported inside is timed; it is a part of the phase it happens in."""
    timer = TimedImports(clocks)
    sys.meta_path.insert(0, timer)
    try:
        yield timer
    finally:
        sys.meta_path.remove(timer)
