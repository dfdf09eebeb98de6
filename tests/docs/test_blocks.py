"""Every command and Python block of README and docs runs, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_blocks.markdown import name_of, pages
from doc_blocks.running import run_page

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_blocks_of_a_page_run_and_print_what_it_shows(page: Path, address: Path) -> None:
    problems = run_page(page, address).problems

    assert not problems, "\n".join(problems)
