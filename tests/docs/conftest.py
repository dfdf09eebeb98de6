"""A process that runs the commands of pages, for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_blocks.warm import warm


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where it listens."""
    with warm(tmp_path_factory.mktemp("warm")) as listens:
        yield listens
