"""How far a download is: a bar on a terminal, a line each tenth when piped."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn


class Downloads:
    """Called with (file name, bytes so far, bytes in all); shows nothing until it is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> Downloads:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tasks:  # one that never started would leave an empty line
            self._progress.stop()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if self._console.is_terminal:
            self._bar(name, done, total)
        else:
            self._line(name, done, total)

    def _bar(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._progress.start()
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def _line(self, name: str, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else 0
        if self._tenths.get(name) != tenth:
            self._tenths[name] = tenth
            size = f" of {total / 1e6:,.1f}" if total else ""
            self._console.print(f"{name}: {done / 1e6:,.1f}{size} MB", highlight=False)
