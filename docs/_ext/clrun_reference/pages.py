"""All pages of the reference that are made from the code."""

from __future__ import annotations

from collections.abc import Iterator

from clrun.cli.topics import TOPICS
from clrun.config.sources import GROUPS, LOGGERS, PLUGINS, RECIPES
from clrun_reference.groups import group_page
from clrun_reference.markdown import definitions, page
from clrun_reference.no_group import hydra_page, no_group_page
from clrun_reference.verbs import verbs_page

OF_GROUPS = (
    *("strategy", PLUGINS, "storage_policy", "selection", "benchmark", "model", "device", "eval"),
    *(LOGGERS, "launcher", RECIPES),
)
assert {*OF_GROUPS} == {*GROUPS, LOGGERS, PLUGINS, RECIPES}

TITLES = {
    "exit_codes": "Exit codes",
    "run_folder": "Files of a run",
    "sweep_folder": "Files of a sweep",
    "environment": "Environment variables",
}
"""Of the topics that have a page; `options` is part of that of the verbs."""


def pages() -> dict[str, str]:
    """The text of each page, by its name."""
    found = {group: group_page(group) for group in OF_GROUPS}
    found |= {"no_group": no_group_page(), "hydra": hydra_page(), "verbs": verbs_page()}
    return found | {topic: page(title, _tables(topic)) for topic, title in TITLES.items()}


def _tables(topic: str) -> Iterator[str]:
    yield from (f"`clrun help {topic}` prints the same.", "")
    for table in TOPICS[topic].tables():
        yield from (f"{table.caption}:", "", *definitions(table.rows))
