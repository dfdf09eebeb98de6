"""A diary of a run: every metric after each experience, a line each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clrun.loggers.numbers import numbers


class Diary:
    """Writes into a file of the run's folder."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        file: str

    def __init__(self, config: Config) -> None:
        self.config = config

    def begin(self, run: Any, lines: Iterable[Any]) -> None:
        self.run, self.file = run, (run.folder / self.config.file).open("w")
        for line in lines:
            self.write(line)

    def write(self, line: Any) -> None:
        if line["kind"] == "metrics":
            for name, value in numbers(line, self.run).items():
                print(line["experience"], name, value, file=self.file)

    def end(self, status: str) -> None:
        print(status, file=self.file)
        self.file.close()
