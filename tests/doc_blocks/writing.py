"""What commands print now is put into a page, below the commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from doc_blocks.commands import commands
from doc_blocks.markdown import Block, blocks
from doc_blocks.shown import renewed

Printed = Mapping[tuple[int, int], Sequence[str]]
"""By the line of a block and that of a command within it."""


def renewed_page(path: Path, printed: Printed) -> str:
    """The text of a page that shows what is printed now."""
    if path.suffix == ".ipynb":
        return _renewed_notebook(path, printed)
    lines = path.read_text(encoding="utf-8").split("\n")
    for block in reversed(blocks(path)):  # so that lines above stay where they are
        if block.kind == "console" and block.file is None and block.how in ("run", "slow"):
            start = block.line - 1
            lines[start : start + block.code.count("\n")] = _renewed_block(block, printed)
    return "\n".join(lines)


def _renewed_block(block: Block, printed: Printed) -> list[str]:
    code = block.code.splitlines()
    found = []
    for command in commands(block):
        shown = command.shown or ()
        typed = command.line + command.text.count("\n") + 1
        now = printed.get((block.line, command.line))
        found += code[command.line : typed]
        found += shown if now is None else renewed(shown, now)
    return [f"{block.indent}{line}".rstrip() for line in found]


def _renewed_notebook(path: Path, printed: Printed) -> str:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell, block in zip(cells, blocks(path), strict=True):
        shown = block.shown or ()
        lines = renewed(shown, printed.get((block.line, 0), shown))
        text = [f"{line}\n" for line in lines]
        cell["outputs"] = (
            [{"name": "stdout", "output_type": "stream", "text": text}] if text else []
        )
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
