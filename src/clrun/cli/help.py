"""`clrun --help`: the text that Hydra would print, in a fraction of its time.

Hydra copies its whole state for every group of options that it lists.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from string import Template

from omegaconf import DictConfig, OmegaConf

from clrun.cli.request import Request
from clrun.config.compose import compose_tree
from clrun.config.composing import composing
from clrun.config.sources import conf_root, package_folders

OURS = {"APP_CONFIG_GROUPS", "CONFIG"}
"""The places of a template that are filled in here; Hydra fills in the others."""


def help_text(request: Request) -> str | None:
    """The template in `hydra.help`, filled in; None when it asks for more than groups and keys.

    Raises:
        HydraException: an override that Hydra would refuse.
    """
    where = request.where()
    tree = compose_tree(request.overrides, **where)
    template = str(OmegaConf.select(tree, "hydra.help.template"))
    places = re.findall(r"\$(?:([A-Z_]+)|\{([A-Z_]+)\})", template)
    if not {named or braced for named, braced in places} <= OURS:
        return None
    folders = [*where["config_dirs"], where["config_path"] or conf_root()]
    with composing():
        keys = OmegaConf.to_yaml(_without_hydra(tree), resolve=request.arguments.resolve)
    return Template(template).substitute(
        APP_CONFIG_GROUPS=_groups([*folders, *(folder for _, folder in package_folders())]),
        CONFIG=keys,
    )


def _groups(folders: Sequence[Path]) -> str:
    """A line for each group: its options."""
    options: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for path in folder.rglob("*.yaml"):
            group = path.parent.relative_to(folder).as_posix()
            if not path.stem.startswith("_"):  # what options of the group are based on
                options[group].add(path.stem)
    shown = [g for g in sorted(options) if g not in (".", "hydra") and not g.startswith("hydra/")]
    return "".join(f"{group}: {', '.join(sorted(options[group]))}\n" for group in shown)


def _without_hydra(tree: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(tree, [str(key) for key in tree if key != "hydra"])
