"""What `clrun.compose` gives, from few compositions: composing took half of the tests' time.

The jobs of a sweep are made so, and tests/config shows that they are what composing gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from omegaconf import DictConfig

from clrun.config import compose as composing
from clrun.config.applied import Jobs
from clrun.config.hydra_errors import explained_errors
from clrun.config.hydra_node import require_harmless
from clrun.config.run_config import RunConfig
from clrun.config.sources import folders
from clrun.config.sweep import Sweep
from clrun.config.trust import trusting, typed

_really = composing.compose


class Compositions:
    """Takes the place of `compose`; composes `each` where that is what is tested."""

    def __init__(self) -> None:
        self.each = False

    def __call__(
        self, overrides: Sequence[str] = (), *, trust: bool = False, **where: Any
    ) -> RunConfig:
        words = tuple(overrides)
        is_plain = isinstance(overrides, list | tuple) and all(isinstance(w, str) for w in words)
        if self.each or trust or where or not is_plain:
            return _really(overrides, trust=trust, **where)
        now = tuple(folder for _, folder in folders())
        with trusting(typed(words)), explained_errors():
            return jobs_of(now).found(words, 0).config


@cache
def jobs_of(_folders: tuple[Any, ...]) -> Jobs:
    """Other folders, as when a test installs a package, have compositions of their own."""
    with composing.initialized() as app:
        return Jobs(cast(Sweep, _Alone(app)))


class _Alone:
    """As `Jobs` sees a sweep: each job is composed by itself, as a run is."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def tree_of(self, job: Sequence[str]) -> DictConfig:
        tree = composing.compose_tree(job)
        require_harmless(tree, composing.installed(job))
        return tree

    def composed(self, job: Sequence[str]) -> composing.Composed:
        return composing.compose_as_trusted(list(job))
