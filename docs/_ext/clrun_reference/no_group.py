"""The page of the keys of no group, and of Hydra's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clrun.cli.explained import keys_of_no_group, with_types
from clrun.cli.text import shown
from clrun.config.option_file import read_primary
from clrun.config.run_config import Cadence, RepeatKeys, Root, SweepKeys
from clrun_reference.entries import Entry, lines_of, place_of
from clrun_reference.markdown import code, definition, definitions, page, plain

OTHERS: Mapping[str, str] = {
    "hydra.verbose": "true: libraries log what they do too; or a list of their names",
    "hydra.mode": "MULTIRUN in a recipe: it is a sweep",
    "hydra.sweeper.params": "what a recipe sweeps: {strategy.lr: '0.1,0.01'}",
    "hydra.job.env_set": "environment variables of the jobs of a sweep: {NAME: VALUE}",
    "hydra/launcher": "basic: Hydra's own loop, one job after the other, in one process",
    "hydra.searchpath": "more folders with options, as file://DIR or pkg://package.folder",
}
"""What Hydra has, and what of it is of use here."""


def no_group_page() -> str:
    """The keys that a run and a sweep have besides their groups."""
    return page(
        "Keys of no group",
        ["`KEY=VALUE` on the command line, `seed=3`, also `checkpoint.keep=5`.", ""],
        _keys(),
    )


def _keys() -> Iterator[str]:
    keys = list(with_types(keys_of_no_group()))
    acts = _declared()
    names = dict.fromkeys(key.path.rpartition(".")[0] for key in keys)
    for name in names:
        yield from (f"## {name}" if name else "## At the root", "")
        own = (key for key in keys if key.path.rpartition(".")[0] == name)
        yield from lines_of([Entry(key, acts[key.path]) for key in own])


def _declared() -> dict[str, str]:
    """The dataclass of each key."""
    schemas = (("", Root), ("", RepeatKeys), ("checkpoint.", Cadence), ("sweep.", SweepKeys))
    return {f"{p}{name}": place_of(cls) for p, cls in schemas for name in cls.__annotations__}


def hydra_page() -> str:
    """Hydra's own keys, as far as they are of use."""
    ours = (key for key in read_primary().keys.values() if key.path.startswith("hydra."))
    return page(
        "Hydra's own keys",
        ["Set by clrun:", ""],
        (
            line
            for key in ours
            for line in definition(code(f"{key.path}={shown(key.value)}"), plain(key.comment))
        ),
        ["Others of use:", ""],
        definitions(OTHERS),
    )
