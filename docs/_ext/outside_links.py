"""Links from a page to files of the repository that are no pages, such as src/clrun/seeds.py.

On a forge they lead to the file. The site has no such file and knows no forge, so there they say
the file's path. Those to files that are a page of the site under another name lead to that page.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

PAGES = {"README.md": "index", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
"""What stands on the site for a file beside the docs. The last two are included in their pages."""


class OutsideLinks(SphinxTransform):
    """Put a page or a path in the place of links that lead out of the docs."""

    default_priority = 9  # before Sphinx copies what links to files lead to

    def apply(self, **_: Any) -> None:
        for kind in (addnodes.download_reference, addnodes.pending_xref):
            for link in list(self.document.findall(kind)):
                if link.get("reftype") == "myst":
                    self._look_at(link)

    def _look_at(self, link: nodes.Element) -> None:
        target = link["reftarget"].partition("#")[0]
        if link.get("refdomain") == "doc":  # MyST takes .md for a page, wherever it is
            target = f"{target}.md" if target.startswith("/") else ""
        if not target:
            return
        source = Path(self.env.srcdir)
        path = Path(os.path.normpath(Path(self.env.doc2path(link["refdoc"])).parent / target))
        if not path.exists():  # as seen from a file that is included
            path = source.parent / target
        if path.exists() and not path.is_relative_to(source):
            link.replace_self(_instead(link, path.relative_to(source.parent).as_posix()))


def _instead(link: nodes.Element, path: str) -> list[nodes.Node]:
    """What stands in the link's place."""
    if path in PAGES:
        page = addnodes.pending_xref(
            "",
            *link.children,
            refdomain="doc",
            reftarget=PAGES[path],
            reftargetid=None,
            refdoc=link["refdoc"],
            reftype="myst",
            refexplicit=True,
        )
        return [page]
    shown = nodes.literal("", path)
    text = link.astext()
    if path.endswith(text) or not text:
        return [shown]
    return [*link.children, nodes.Text(" ("), shown, nodes.Text(")")]


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_transform(OutsideLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
