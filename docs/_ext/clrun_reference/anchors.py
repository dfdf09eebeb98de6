"""Keys, options of verbs and variables have an anchor in the reference; the search leads there."""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.std import StandardDomain

KINDS = {"verbs": "cmdoption", "environment": "envvar"}
"""What Sphinx calls the names of a page; on the pages of keys these are "confval"."""
WITHOUT = ("index", "experiment", "metrics", "exit_codes", "run_folder", "sweep_folder")


def note_names(app: Sphinx, doctree: nodes.document) -> None:
    """Give each name of a page of the reference an anchor, and tell it to the search."""
    folder, _, page = app.env.docname.rpartition("/")
    if folder != "reference" or page in WITHOUT:
        return
    domain = app.env.domains["std"]
    assert isinstance(domain, StandardDomain)
    found: dict[str, nodes.term] = {}
    for heading, term in _terms(doctree):
        term["ids"].append(nodes.make_id(f"{heading}-{term.astext().partition('=')[0]}"))
        name = _name(page, heading, term.astext())
        if name not in found or heading.startswith("Shared keys"):  # which several options have
            found[name] = term
    for name, term in found.items():
        domain.note_object(KINDS.get(page, "confval"), name, term["ids"][0], location=term)


def _terms(doctree: nodes.document) -> Iterator[tuple[str, nodes.term]]:
    """The terms of a page with the heading above them."""
    for section in doctree.findall(nodes.section):
        heading = section.next_node(nodes.title)
        for child in section.children:
            if isinstance(child, nodes.definition_list) and heading is not None:
                yield from ((heading.astext(), term) for term in child.findall(nodes.term))


def _name(page: str, heading: str, term: str) -> str:
    """What a person searches for."""
    return f"{heading} {term}" if page == "verbs" else term.partition("=")[0]
