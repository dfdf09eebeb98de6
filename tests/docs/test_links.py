"""Pages name what there is: no link is dead, and every method has a page."""

from __future__ import annotations

import re

import pytest
from doc_blocks.links import anchors, dead_links, links
from doc_blocks.markdown import ROOT, name_of, pages

from clrun.config.sources import options

METHODS = ROOT / "docs" / "methods"
MENTION = re.compile(r"docs/[a-z\d_/]+\.(?:md|ipynb|svg|png)|(?<![\w/])(?:README|CONTRIBUTING)\.md")
MENTIONING = ("src", "conf", "scripts", "benchmarks", "tests")


@pytest.mark.parametrize(
    "page", [page for page in pages() if page.suffix == ".md"], ids=lambda page: name_of(page)
)
def test_what_a_page_links_to_is_there(page):
    assert dead_links(page) == []


def test_a_dead_file_and_a_dead_section_are_named_with_page_and_line(tmp_path):
    page = tmp_path / "page.md"
    text = "# One `two` (three)\n\n[a](#one-two-three) [b](page.md#four)\n\n![c](gone.png)\n"
    page.write_text(text)

    assert dead_links(page) == [
        "page.md:3: page.md#four: there is no such section.",
        "page.md:5: gone.png: there is no such file.",
    ]


def test_sections_with_one_heading_are_counted_as_on_github():
    assert anchors("# A b\n\n## C-d: e\n\n## A b\n") == {"a-b", "c-d-e", "a-b-1"}


def test_pages_that_code_names_are_there():
    named = {
        (str(path.relative_to(ROOT)), page)
        for folder in MENTIONING
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", ".yaml", ".sh", "")
        for page in MENTION.findall(path.read_text(encoding="utf-8"))
    }

    assert len(named) > 10
    assert [(file, page) for file, page in sorted(named) if not (ROOT / page).exists()] == []


@pytest.mark.parametrize("group", ["strategy", "plugin"])
def test_each_method_has_a_page_that_the_index_links_to(group):
    pages = {page.name: page.read_text(encoding="utf-8") for page in METHODS.glob("*.md")}
    linked = {target for _, target in links(pages["index.md"])}
    index = {target for target in linked if not target.startswith("../")}  # guides are no methods
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
