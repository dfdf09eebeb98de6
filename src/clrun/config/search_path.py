"""Tells Hydra where options live: our own folder, those of installed packages, extra folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from clrun.config.sources import package_folders


class ClrunSearchPath(SearchPathPlugin):
    """Adds the configuration folders of installed packages, and any extra ones before ours."""

    extra: Sequence[Path] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in self.extra:
            search_path.prepend(provider="command line", path=f"file://{folder}")
        for package, folder in package_folders():
            search_path.append(provider=package, path=f"file://{folder}")


def register() -> None:
    """Make Hydra use the search path; doing it again changes nothing."""
    plugins = Plugins.instance()
    if ClrunSearchPath not in plugins.discover(SearchPathPlugin):
        plugins.register(ClrunSearchPath)


@contextmanager
def extra_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Look for options in these folders first, as --config-dir asks."""
    before = ClrunSearchPath.extra
    ClrunSearchPath.extra = tuple(folders)
    try:
        yield
    finally:
        ClrunSearchPath.extra = before
