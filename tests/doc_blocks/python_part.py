"""Python blocks of a page: run by a child that keeps their namespace, or looked at."""

from __future__ import annotations

import ast
import json
import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from doc_blocks.markdown import Block, PageError
from doc_blocks.warm import ask


class PythonPart:
    """The process of a page's Python blocks; it begins with the first one."""

    def __init__(self, address: Path, folder: Path, private: Path, env: Mapping[str, str]) -> None:
        self._request = {"what": "python", "words": [], "folder": str(folder), "env": dict(env)}
        self._address, self._private = address, private
        self._link: socket.socket | None = None

    def __enter__(self) -> PythonPart:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._link is not None:
            self._requests.close()
            self._answers.close()
            self._link.close()

    def run(self, block: Block) -> tuple[str | None, str]:
        """Run a block; what went wrong, with the line of the page, and what it printed."""
        if self._link is None:
            self._begin()
        output = self._private / f"{block.line}.out"
        request = {
            **{"page": block.page, "line": block.line, "code": block.code, "output": str(output)},
            "shows": block.page.endswith(".ipynb"),
        }
        print(json.dumps(request), file=self._requests, flush=True)
        answer = self._answers.readline()
        if not answer:
            return f"{block.at()}: the process of the page's Python blocks ended.", ""
        return json.loads(answer), output.read_text(encoding="utf-8", errors="replace")

    def _begin(self) -> None:
        (its_in, ours_out), (ours_in, its_out) = os.pipe(), os.pipe()
        null = os.open(os.devnull, os.O_WRONLY)
        self._link = ask(self._address, self._request, (its_in, its_out, null))
        for file in (its_in, its_out, null):
            os.close(file)
        self._requests = os.fdopen(ours_out, "w", encoding="utf-8")
        self._answers = os.fdopen(ours_in, encoding="utf-8")


def words_composed(block: Block) -> Iterator[tuple[int, str]]:
    """The lists of words that a block composes, as commands, each with its line from 0.

    Raises:
        PageError: it is not Python.
    """
    try:
        tree = ast.parse(block.code)
    except SyntaxError as error:
        raise PageError(f"{block.at((error.lineno or 1) - 1)}: SyntaxError: {error.msg}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "clrun.compose":
            for given in node.args:
                if isinstance(given, ast.List):
                    words = [e.value for e in given.elts if isinstance(e, ast.Constant)]
                    yield node.lineno - 1, shlex.join(["clrun", *map(str, words)])
