"""Where configuration files live: ours, those of installed packages, and --config-dir folders."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from clrun.config.trust import registered, trust_now

GROUPS = (
    "strategy",
    "storage_policy",
    "selection",
    "benchmark",
    "model",
    "device",
    "eval",
    "launcher",
)
"""The groups whose options are components: each YAML names a class and holds its keys."""

LAUNCHER = "launcher"
"""The group of what starts the workers of a sweep, which is no part of a run."""

SWEEP = "sweep"
"""The mapping at the root that says how the jobs of a sweep are run."""

OF_A_RUN = tuple(group for group in GROUPS if group != LAUNCHER)
"""The groups that a run has a component of."""

LOGGERS = "logger"
"""The group of loggers, of which a run may have several: each has its keys below its own name."""

REPEATS = ("seeds", "seeds_width", "seeds_max", "references")
"""Keys at the root by which one experiment is several runs; they are of no run."""

PLUGINS = "plugin"
"""The folder of parts that `strategy.plugins` lists by name."""

RECIPES = "experiment"
"""The group of recipes: YAML files that set keys of the other groups."""


HEADER = 16_384
"""Characters at the beginning of a file among which is what it says of itself."""


@dataclass(frozen=True)
class Option:
    """One option of a group: what `clrun list` shows."""

    group: str
    name: str
    summary: str
    provider: str


def conf_root() -> Path:
    """The folder with clrun's own configuration: inside the wheel, or the checkout's conf/."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def package_folders() -> list[tuple[str, Path]]:
    """(package, folder) of every installed package that ships options, without importing any."""
    found = []
    for value in registered():
        root, *rest = value.split(".")
        spec = find_spec(root)
        for place in (spec.submodule_search_locations or []) if spec else []:
            folder = Path(place, *rest)
            if folder.is_dir():
                found.append((value, folder))
    return found


def make_importable(config_folders: Iterable[Path]) -> None:
    """Find the code that lies in or beside configuration folders of one's own.

    It comes last, so nothing that is installed is hidden by it. Only where the folders are trusted:
    a module there could have the name of one that some library tries to import.
    """
    for folder in config_folders if trust_now().everything else ():
        if folder.resolve() != conf_root().resolve():
            places = (str(folder), str(folder.parent))
            sys.path.extend(place for place in places if place not in sys.path)


def folders(extra: Sequence[Path] = ()) -> list[tuple[str, Path]]:
    """Every configuration folder with the name of who provides it; earlier ones win."""
    return [
        *((str(folder), folder) for folder in extra),
        ("clrun", conf_root()),
        *package_folders(),
    ]


def options(group: str, extra: Sequence[Path] = ()) -> list[Option]:
    """The options of one group, by name; a name in an earlier folder hides the later ones.

    Recipes may lie in folders, whose names they begin with: `repro/er_split_mnist`.
    """
    found: dict[str, Option] = {}
    pattern = "**/*.yaml" if group == RECIPES else "*.yaml"
    for provider, folder in folders(extra):
        for path in sorted((folder / group).glob(pattern)):
            if path.stem.startswith("_"):  # what options of the group are based on
                continue
            name = path.relative_to(folder / group).with_suffix("").as_posix()
            found.setdefault(name, Option(group, name, _summary(path), provider))
    return [found[name] for name in sorted(found)]


def _summary(path: Path) -> str:
    """The first comment of a YAML file that is not a Hydra directive."""
    for line in _comments(path):
        if not line.startswith("@"):
            return line
    return ""


def _comments(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        beginning = file.read(HEADER)
    for line in beginning.splitlines():
        if not line.startswith("#"):
            return
        yield line.lstrip("# ").rstrip()
