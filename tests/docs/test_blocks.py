"""Every command and Python block of README and docs runs, and prints what the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_blocks.markdown import name_of, pages
from doc_blocks.running import run_page
from doc_blocks.warm import warm


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the process listens that runs the pages' commands."""
    with warm(tmp_path_factory.mktemp("warm")) as listens:
        yield listens


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(page: Path, address: Path) -> None:
    assert run_page(page, address).problems == []
