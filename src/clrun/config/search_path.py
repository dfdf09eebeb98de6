"""Tells Hydra where options live: our own folder, those of installed packages, extra folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import (
    ImportlibResourcesConfigSource,
)
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

from clrun.config.counting import count_what_is_composed
from clrun.config.sources import LOGGERS, package_folders
from clrun.config.trust import ADVICE, trust_now, trusted_packages
from clrun.config.yaml_file import yaml_errors, yaml_text
from clrun.errors import ConfigError, cut


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

    def load_config(self, config_path: str) -> ConfigResult:
        """The file, once it is known to be small and plain.

        Raises:
            ConfigError: it is not, or cannot be read.
        """
        name = self._normalize_file_name(config_path)
        file = Path(os.path.realpath(os.path.join(self.path, name)))
        if os.path.exists(file):  # else Hydra says where it looked
            yaml_text(file)
        with yaml_errors(file):
            loaded = super().load_config(config_path)
        group, _, option = config_path.removesuffix(".yaml").rpartition("/")
        if group == LOGGERS and loaded.header.get("package") is None:
            loaded.header["package"] = f"{LOGGERS}.{option}"  # so that several can be chosen
        return loaded


class OptionPackages(ImportlibResourcesConfigSource):
    """A package's YAML files, which are found by importing it."""

    def __init__(self, provider: str, path: str) -> None:
        root = path.partition("://")[2].replace("/", ".").partition(".")[0]
        known = {"hydra", "hydra_plugins", *trusted_packages()}
        is_typed = trust_now().typed("hydra.searchpath") or not provider.startswith("hydra.search")
        if root and root not in known and not is_typed and not trust_now().everything:
            raise ConfigError(
                f"hydra.searchpath={cut(path)}: {cut(root)} would be imported, which is neither "
                f"clrun's nor an installed package's with options for it. {ADVICE}"
            )
        super().__init__(provider, path)


# Hydra registers its own sources again in each process that a launcher starts, which finds this one
# there, and takes what has the same name for the same class
OptionFiles.__name__ = FileConfigSource.__name__
OptionPackages.__name__ = ImportlibResourcesConfigSource.__name__


def register() -> None:
    """Make Hydra use the search path and our sources; doing it again changes nothing."""
    plugins = Plugins.instance()  # before the sources, which it registers
    if ClrunSearchPath not in plugins.discover(SearchPathPlugin):
        plugins.register(ClrunSearchPath)
    # Hydra has no way to replace a source, and keeps the first one registered for a scheme
    SourcesRegistry.instance().types[OptionFiles.scheme()] = OptionFiles
    SourcesRegistry.instance().types[OptionPackages.scheme()] = OptionPackages
    count_what_is_composed()


@contextmanager
def extra_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Look for options in these folders first, as --config-dir asks."""
    before = ClrunSearchPath.extra
    ClrunSearchPath.extra = tuple(folders)
    try:
        yield
    finally:
        ClrunSearchPath.extra = before
