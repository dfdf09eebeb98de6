"""A block's commands: each with its line, and in a console block what is shown below it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from doc_blocks.markdown import Block, PageError

PROMPT = "$ "


@dataclass(frozen=True)
class Command:
    """What bash is given at once."""

    text: str
    line: int
    """below the first line of the block, from 0"""
    shown: tuple[str, ...] | None = None
    """the lines of output below it; None in a block that shows none"""


def commands(block: Block) -> list[Command]:
    """The commands of a bash or console block.

    Raises:
        PageError: a console block begins with output, or bash cannot read a command.
    """
    return list(_console(block) if block.kind == "console" else _script(block))


def _console(block: Block) -> Iterator[Command]:
    lines = block.code.splitlines()
    starts = [place for place, line in enumerate(lines) if line.startswith(PROMPT)]
    if starts[:1] != [0]:
        raise PageError(f"{block.at()}: a console block begins with a command: $ clrun ...")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while last + 1 < end and lines[last].endswith("\\"):
            last += 1
        text = "\n".join([lines[start].removeprefix(PROMPT), *lines[start + 1 : last + 1]])
        yield Command(text, start, tuple(lines[last + 1 : end]))


def _script(block: Block) -> Iterator[Command]:
    """Lines that belong together, such as those of a loop, are one command."""
    gathered: list[str] = []
    for place, line in enumerate(block.code.splitlines()):
        if not gathered and (not line.strip() or line.startswith("#")):
            continue
        gathered.append(line)
        if _is_whole("\n".join(gathered)):
            yield Command("\n".join(gathered), place + 1 - len(gathered))
            gathered = []
    if gathered:
        raise PageError(f"{block.at()}: bash cannot read this block: {gathered[0]}")


def _is_whole(text: str) -> bool:
    if text.endswith("\\"):
        return False
    done = subprocess.run(
        ["bash", "--norc", "-n"], input=text + "\n", capture_output=True, text=True, check=False
    )
    return done.returncode == 0 and "here-document" not in done.stderr
