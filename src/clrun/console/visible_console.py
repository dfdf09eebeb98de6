"""Rich's console, for texts of other people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from clrun.console.visible import raw, visible


class VisibleConsole(Console):
    """Commands the terminal itself, and shows what texts would command it."""

    @property
    def file(self) -> IO[str]:
        """The terminal itself: rich looks behind one stream that stands before it, not two."""
        return raw(super().file)

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Rich's segments; in those of text, control characters can be seen."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            shown = text if control else visible(text)
            yield segment if shown == text else Segment(shown, style)
