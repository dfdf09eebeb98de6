"""Tells Hydra where options live: our own folder, those of installed packages, extra folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from clrun.config.sources import package_folders


class ClrunSearchPath(SearchPathPlugin):
    """Adds the configuration folders of installed packages, and any extra ones before ours."""

    extra: Sequence[Path] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in self.extra:
            search_path.prepend(provider="command-line", path=f"file://{folder}")
        for package, folder in package_folders():
            search_path.append(provider=package, path=f"file://{folder}")


class OptionFiles(FileConfigSource):
    """A folder's YAML files. What options are based on (`_split`) is read, and is no option.

    Hydra lists the options of a group for completion, `--info` and its errors.
    """

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        names = super().list(config_path, results_filter)
        return [name for name in names if not name.startswith("_")]


# Hydra registers its own sources again in each process that a launcher starts, which finds this one
# there, and takes what has the same name for the same class
OptionFiles.__name__ = FileConfigSource.__name__


def register() -> None:
    """Make Hydra use the search path and `OptionFiles`; doing it again changes nothing."""
    plugins = Plugins.instance()  # before the sources, which it registers
    if ClrunSearchPath not in plugins.discover(SearchPathPlugin):
        plugins.register(ClrunSearchPath)
    # Hydra has no way to replace a source, and keeps the first one registered for a scheme
    SourcesRegistry.instance().types[OptionFiles.scheme()] = OptionFiles


@contextmanager
def extra_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Look for options in these folders first, as --config-dir asks."""
    before = ClrunSearchPath.extra
    ClrunSearchPath.extra = tuple(folders)
    try:
        yield
    finally:
        ClrunSearchPath.extra = before
