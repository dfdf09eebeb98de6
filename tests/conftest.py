"""Fixtures for all tests: a place to run in, real data where a checkout has them beside it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from compositions import Compositions
from hypothesis import HealthCheck, settings

import clrun.config.compose

settings.register_profile(
    "clrun",
    deadline=None,  # how long an example takes, or takes to be made, is no claim of a test's
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("clrun")

COMPOSITIONS = Compositions()
clrun.config.compose.compose = COMPOSITIONS  # before a test's file takes it by its name

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, lest one is begun last and keeps a single core busy."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope="session")
def _hang_up_as_in_a_terminal() -> Iterator[None]:
    """`nohup` lets it be ignored, in the processes of tests too."""
    if not hasattr(signal, "SIGHUP"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True, scope="module")
def _each_composed_where_that_is_tested(request: pytest.FixtureRequest) -> None:
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    COMPOSITIONS.each = folder in ("config", "cli")


@pytest.fixture(autouse=True, scope="module")
def _logging_as_before_the_module() -> Iterator[None]:
    """So may a run that is made once for all tests of a module."""
    with _logging_as_it_was():
        yield


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A run in this process opens its log: one that stays would be opened again by a later run."""
    with _logging_as_it_was():
        yield


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(before):
        with suppress(OSError):  # on a disk that is full
            handler.close()
    root.handlers, root.level = before, level


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, so that a stray outputs/ would be seen."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def real_fashion_mnist() -> Path:
    """The folder to give as benchmark.data_root."""
    if not (SHARED_DATA / "FashionMNIST").is_dir():
        pytest.skip("Fashion-MNIST is not beside this checkout")
    return SHARED_DATA
