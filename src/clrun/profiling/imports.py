"""Seconds that importing takes, package by package. No torch here."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

PART = "imports"

OWN_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)
"""Each of these loads one module; others may be shared by many, and are left as they are."""


class TimedImports(MetaPathFinder):
    """Finds modules as all other finders together do, and times their execution.

    A package's seconds are its own: those of another package that it imports count there.
    """

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self._packages: dict[str, float] = defaultdict(float)
        self._modules: list[tuple[str, str, float]] = []  # (phase, module, seconds)
        self._inner: list[float] = []
        self.active = True
        self._thread = threading.get_ident()
        self._foreign = 0  # how deep in what clrun did not write

    def packages(self) -> dict[str, float]:
        """package -> seconds of its own modules, slowest first."""
        slowest = sorted(self._packages.items(), key=lambda item: -item[1])
        return {name: round(seconds, 6) for name, seconds in slowest}

    def modules(self) -> list[dict[str, Any]]:
        """What clrun imports, each with all that it imports itself, slowest first."""
        slowest = sorted(self._modules, key=lambda told: -told[2])
        return [
            {"module": module, "phase": phase, "wall_seconds": round(seconds, 6)}
            for phase, module, seconds in slowest
        ]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._time(spec)
                return spec
        return None

    def _time(self, spec: ModuleSpec) -> None:
        """Let this module's own loader tell how long it takes."""
        loader: Any = spec.loader
        if not isinstance(loader, OWN_LOADERS):
            return
        execute = loader.exec_module

        def timed(module: ModuleType) -> None:
            if self.active and threading.get_ident() == self._thread:
                with self._counted(spec.name):
                    execute(module)
            else:
                execute(module)

        loader.exec_module = timed  # type: ignore[method-assign]

    @contextmanager
    def _counted(self, module: str) -> Iterator[None]:
        package = module.partition(".")[0]
        is_foreign = package != "clrun"
        self._foreign += is_foreign
        self._inner.append(0.0)
        self.clocks.begin(PART, whole=True)
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.clocks.end()
            self._packages[package] += seconds - self._inner.pop()
            if self._inner:
                self._inner[-1] += seconds
            self._foreign -= is_foreign
            if is_foreign and not self._foreign:
                self._modules.append((self.clocks.phase_now, module, seconds))


@contextmanager
def timed_imports(clocks: Clocks) -> Iterator[TimedImports]:
    """Everything imported inside is timed; it is a part of the phase it happens in."""
    timer = TimedImports(clocks)
    sys.meta_path.insert(0, timer)
    try:
        yield timer
    finally:
        timer.active = False
        sys.meta_path.remove(timer)
