"""A page: one file that opens from a disk, asks the network for nothing, reads without script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from clrun import __version__
from clrun.disk.files import write_text
from clrun.report.environment import environment, own_markup
from clrun.report.ramp import ramp_style

if TYPE_CHECKING:
    from markupsafe import Markup

FILE = "report.html"
"""What a page is called in the folder that it is about."""


class Section(NamedTuple):
    """A part of a page with a heading, which the list of contents leads to."""

    id: str
    """letters, digits and hyphens"""
    title: str
    html: Markup


class Banner(NamedTuple):
    """Something that has to be said before any number."""

    kind: Literal["bad", "note"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says; every text in it is text, whatever letters it has."""

    kind: str
    """run report, sweep report, comparison"""
    title: str
    verdict: str
    """one sentence"""
    facts: Sequence[tuple[str, str]] = ()
    """a few names and values under the title: strategy, seed, device"""
    banners: Sequence[Banner] = ()
    sections: Sequence[Section] = ()


def render(page: Page) -> str:
    """The whole file. The same page gives the same bytes.

    A policy in it forbids every request and every script but ours, which its checksum names: even
    if a text were taken for markup, nothing would run and nothing would be sent.
    """
    script = own_markup("page.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            page=page,
            style=own_markup("page.css") + own_markup("sweep.css") + ramp_style(),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=__version__,
        )
    )


def write_page(folder: Path, page: Page) -> Path:
    """Write the page into the folder that it is about; the file.

    Raises:
        StorageError: the disk is full, read-only or broken.
    """
    path = folder / FILE
    write_text(path, render(page))
    return path
