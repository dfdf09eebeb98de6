"""The reference of the site, made from the code whenever the site is built.

Options come from their YAML and the dataclasses of their classes, as in `clrun help GROUP=OPTION`;
verbs from their parsers; topics (exit codes, files, variables) from what `clrun help TOPIC` prints.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from clrun_reference.anchors import note_names
from clrun_reference.pages import pages

MADE = "% Made from the code when the site is built.\n\n"
"""The first line of each page, by which old ones are known."""


def write(folder: Path) -> None:
    """Write each page that is not there as it should be, and remove those that are of no use."""
    folder.mkdir(exist_ok=True)
    wanted = {f"{name}.md": f"{MADE}{text}" for name, text in pages().items()}
    for path in folder.glob("*.md"):
        if path.name not in wanted and path.read_text(encoding="utf-8").startswith(MADE):
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    app.connect("doctree-read", note_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
