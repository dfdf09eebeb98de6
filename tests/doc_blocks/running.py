"""A page is run: its blocks in order, in one fresh folder, and what is wrong with it is found."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from doc_blocks.commands import Command, commands
from doc_blocks.markdown import ROOT, Block, PageError, blocks
from doc_blocks.python_part import PythonPart, words_composed
from doc_blocks.shell import LEFT, SECONDS, Shell
from doc_blocks.shown import difference
from doc_blocks.warm import ADDRESS

WIDTH = 100
"""Columns of what is shown."""

PASSING = re.compile(r"experience \d+/\d+, (epoch|update) |building the image cache: \d+ of")
"""How far something is, which is said where some seconds passed since it last was."""


@dataclass
class PageRun:
    """What became of a page."""

    problems: list[str] = field(default_factory=list)
    """one line each: page, line, what is wrong"""
    failures: list[str] = field(default_factory=list)
    """those of the problems that no other output would mend"""
    printed: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    """what commands print now, by the line of their block and theirs within it"""


class Page:
    """A page while it runs."""

    def __init__(self, shell: Shell, python: PythonPart, folder: Path, *, slow: bool) -> None:
        self.found = PageRun()
        self._shell, self._python, self._folder, self._slow = shell, python, folder, slow

    def run(self, block: Block) -> None:
        """Run, check or write out a block."""
        if block.how == "no":
            return
        if block.file is not None:
            path = self._folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
            return
        checks = block.how == "compose" or (block.how == "slow" and not self._slow)
        if block.kind == "python":
            self._run_python(block, checks=checks)
        elif block.kind in ("bash", "console"):
            for command in commands(block):
                self._run_command(block, command, checks=checks)

    def _run_python(self, block: Block, *, checks: bool) -> None:
        if checks:
            for line, words in words_composed(block):
                code, printed = self._shell.run(words, checks=True)
                if code:
                    self.fail(f"{block.at(line)}: {shown_line(printed)}")
            return
        error, printed = self._python.run(block)
        lines = self.presentable(printed)
        self.found.printed[block.line, 0] = lines
        if error is not None:
            self.fail(error)
        elif block.shown is not None:
            self._compare(block, block.code.count("\n") - 1, block.shown, lines)

    def _run_command(self, block: Block, command: Command, *, checks: bool) -> None:
        code, printed = self._shell.run(command.text, checks=checks)
        if code is None:
            text = f"did not end within {SECONDS:.0f} s, or ended the shell."
            self.fail(f"{block.at(command.line)}: {text}")
        elif code != block.exit_code and not (code == 0 and checks) and code != LEFT:
            text = f"exit code {code}, not {block.exit_code}: {shown_line(printed)}"
            self.fail(f"{block.at(command.line)}: {text}")
        elif command.shown is not None and not checks:
            lines = self.presentable(printed)
            self.found.printed[block.line, command.line] = lines
            below = command.line + command.text.count("\n") + 1
            self._compare(block, below, command.shown, lines)

    def _compare(
        self, block: Block, below: int, shown: Sequence[str], printed: Sequence[str]
    ) -> None:
        """Find a difference to what is shown from a line of the block on."""
        differs = difference(shown, printed)
        if differs is not None:
            place, now = differs
            line = below if block.shown is not None else below + place
            text = f"{block.at(line)}: is not what is printed now: {now}"
            self.found.problems.append(f"{text} (scripts/docs --outputs {block.page})")

    def fail(self, text: str) -> None:
        self.found.problems.append(text)
        self.found.failures.append(text)

    def presentable(self, printed: str) -> list[str]:
        """Lines of output without the places of this machine."""
        for place, name in ((self._folder, "..."), (ROOT, "..."), (Path.home(), "~")):
            printed = printed.replace(str(place), name)
        lines = [line.rstrip() for line in printed.rstrip().splitlines()]
        return [line for line in lines if not PASSING.match(line)]


def run_page(path: Path, address: Path, *, slow: bool = False) -> PageRun:
    """Run the blocks of a page by the warm process at `address`.

    Raises:
        PageError: the page cannot be read.
    """
    found = blocks(path)
    with _page_at(address, slow=slow) as page:
        for block in found:
            try:
                page.run(block)
            except PageError as error:
                page.fail(str(error))
        return page.found


@contextmanager
def _page_at(address: Path, *, slow: bool) -> Iterator[Page]:
    with ExitStack() as stack:
        # its name is as long on every machine: it decides where tables are wrapped
        top = Path(tempfile.mkdtemp(prefix="page-", dir="/tmp"))
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        folder, private = top / "work", top / "private"
        for made in (folder, private, top / "home"):
            made.mkdir()
        env = _environment(address, top / "home")
        shell = stack.enter_context(Shell(folder, private, env))
        python = stack.enter_context(PythonPart(address, folder, private, env))
        yield Page(shell, python, folder, slow=slow)


def _environment(address: Path, home: Path) -> dict[str, str]:
    path = (
        address.parent / "bin",
        Path(sys.executable).parent,
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    )
    return {
        ADDRESS: str(address),
        "COLUMNS": str(WIDTH),
        "CUDA_VISIBLE_DEVICES": "",  # numbers of a page are those of a processor
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LINES": "40",
        "MPLBACKEND": "Agg",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",  # other sums with another number
        "PATH": os.pathsep.join(map(str, path)),
        "PYTHONPATH": str(ROOT / "src"),
        "TERM": "dumb",
    }


def shown_line(printed: str) -> str:
    """The line of an output that says what is wrong."""
    lines = [line for line in printed.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("clrun: ") and "clrun: note:" not in line]
    return (ours or lines[-1:] or [""])[0]
