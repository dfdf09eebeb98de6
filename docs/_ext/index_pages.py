"""Pages that list others, such as methods/index.md: these stand below them in the sidebar.

A page that a forge shows too has links and no toctree, so the toctree is made of its links to pages
beside it, in their order and by their words.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

LINK = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md\)")


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_config_value("index_pages", [], "env")
    app.connect("source-read", _with_toctree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _with_toctree(app: Sphinx, docname: str, content: list[str]) -> None:
    if docname in app.config.index_pages:
        content[0] += toctree(content[0])


def toctree(text: str) -> str:
    """A hidden toctree of what the page links to beside it."""
    pages = dict[str, str]()
    for words, page in LINK.findall(text):
        pages.setdefault(page, words.strip("`"))
    entries = "\n".join(f"{words} <{page}>" for page, words in pages.items())
    return f"\n\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
