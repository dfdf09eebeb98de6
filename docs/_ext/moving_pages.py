"""While pages are being moved: the first page lists those that are there, wherever they are."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

MORE = "```{toctree}\n:hidden:\n:caption: More\n\n%s\n```\n"


def _fitted(app: Sphinx, docname: str, content: list[str]) -> None:
    if docname != "index":
        return
    known = app.env.found_docs
    entry = re.compile(r"[a-z_]+(/[a-z_]+)?")
    lines = [line for line in content[0].splitlines() if not entry.fullmatch(line) or line in known]
    left = known - {*lines, "index", "decisions/index"}
    more = sorted(page for page in left if not page.startswith(("methods/", "reference/", "decisions/")))
    lines = [said for line in lines if (said := _said(line, known)) is not None]
    empty = r"```{toctree}\n:hidden:\n:caption: [\w ]+\n\n```"
    text = re.sub(empty, "", "\n".join(lines))
    content[0] = f"{text}\n{MORE % chr(10).join(more) if more else ''}"


def _said(line: str, known: set[str]) -> str | None:
    """A line without what leads to pages that are not there yet."""
    named = re.findall(r"{doc}`([^`]+)`", line)
    missing = [page for page in named if page not in known]
    if named and len(missing) == len(named):
        return None
    for page in missing:
        line = re.sub(rf"(, )?{{doc}}`{page}`", "", line)
    return line


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", _fitted)
    app.connect("env-get-outdated", lambda *_: {"index"})  # whose list depends on the others
    return {"parallel_read_safe": True, "parallel_write_safe": True}
