"""The folder that a user names for a run or a sweep, used exactly as given."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from clrun.config.resolved import resolved
from clrun.errors import ConfigError, FolderError
from clrun.records.planted import require_own_names
from clrun.records.run_folder import UNNAMED, require_free, require_writable

RUN = "hydra.run.dir"
"""The key that names the folder of a run."""


def named_folder(tree: DictConfig, key: str) -> Path | None:
    """What `hydra.run.dir` or another key names; None where it has only its default.

    Raises:
        ConfigError: it names nothing, or a folder that cannot be made.
        FolderError: there is a run or a sweep in the folder of a run, or a name that is written to
            is a link; nothing of it changed.
    """
    node, _, name = key.rpartition(".")
    given = OmegaConf.to_container(OmegaConf.select(tree, node), resolve=False)
    assert isinstance(given, dict)
    if given[name] in UNNAMED:
        return None
    text = resolved(tree, key)
    if not text or not text.strip():
        raise ConfigError(f"{key}={text or ''}: names no folder. Leave it out for a fresh one.")
    folder = os.path.expanduser(text)
    require_own_names(Path(folder))
    if key == RUN:
        require_free(Path(folder).absolute())
        _require_no_sweep(Path(folder))
    require_writable(key, folder)
    return Path(folder)


def _require_no_sweep(folder: Path) -> None:
    """Refuse the folder of a sweep for a run.

    Raises:
        FolderError: it is one.
    """
    from clrun.sweep.folder import is_sweep  # 40 ms, which a run of no name does without

    if is_sweep(folder):
        raise FolderError(
            f"{folder}: is the folder of a sweep. Name another one for a run, or none for a fresh "
            "one; more jobs of the sweep take -m and hydra.sweep.dir."
        )
