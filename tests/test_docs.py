"""Pages name what there is: no link is dead, and every method has a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clrun.config.sources import options

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
METHODS = ROOT / "docs" / "methods"
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    linked = [page.parent / place for place in LINK.findall(page.read_text(encoding="utf-8"))]

    assert [str(place) for place in linked if not place.exists()] == []


@pytest.mark.parametrize("group", ["strategy", "plugin"])
def test_each_method_has_a_page_that_the_index_links_to(group):
    pages = {page.name: page.read_text(encoding="utf-8") for page in METHODS.glob("*.md")}
    index = set(LINK.findall(pages["index.md"]))
    word = {"strategy": "strategy={}", "plugin": "name: {}"}[group]

    for option in options(group):
        about = [
            name
            for name, text in pages.items()
            if re.search(rf"{word.format(option.name)}\b", text)
        ]
        own = f"{option.name}.md"
        assert own in index or set(about) & index - {"rehearsal.md"}, option.name

    assert index == pages.keys() - {"index.md"}
