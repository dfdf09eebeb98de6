"""All pages of the reference that are made from the code."""

from __future__ import annotations

from collections.abc import Iterator

from clrun.cli.topics import TOPICS
from clrun.config.sources import GROUPS, LOGGERS, PLUGINS, RECIPES
from clrun_reference.groups import MEANINGS, group_page
from clrun_reference.markdown import definitions, page, plain
from clrun_reference.no_group import hydra_page, no_group_page
from clrun_reference.verbs import verbs_page

OF_GROUPS = (
    *("strategy", PLUGINS, "storage_policy", "selection", "benchmark", "model", "device", "eval"),
    *(LOGGERS, "launcher", RECIPES),
)
assert {*OF_GROUPS} == {*GROUPS, LOGGERS, PLUGINS, RECIPES}

TITLES = {
    "exit_codes": "exit codes",
    "run_folder": "files of a run",
    "sweep_folder": "files of a sweep",
    "environment": "environment variables",
}
"""Of the topics that have a page; `options` is part of that of the verbs."""


OTHERS = {
    "verbs": "what comes first on the command line, with its options",
    "no_group": "seed, output_root, checkpoint, sweep and others",
    "hydra": "as far as they are of use",
    **{topic: TOPICS[topic].summary for topic in TITLES},
    "metrics": "what a run reports, each with its formula",
}
"""What is on the pages besides those of groups. The last one is written by hand."""

INTRODUCTION = """\
Made from the code: keys with their comments from the YAML files in `conf/`, what they may hold from
the dataclass that declares them, which stands beside the code that reads it. `clrun help` prints
the same in the terminal."""


def pages() -> dict[str, str]:
    """The text of each page, by its name."""
    found = {group: group_page(group) for group in OF_GROUPS}
    found |= {"no_group": no_group_page(), "hydra": hydra_page(), "verbs": verbs_page()}
    found |= {topic: page(title.capitalize(), _tables(topic)) for topic, title in TITLES.items()}
    return found | {"index": page("Reference", [INTRODUCTION, ""], _links())}


def _links() -> Iterator[str]:
    """A link to each page."""
    yield from ("| `GROUP=OPTION` | |", "| --- | --- |")
    yield from (f"| [{group}]({group}.md) | {MEANINGS[group]} |" for group in OF_GROUPS)
    yield from ("", "| besides | |", "| --- | --- |")
    titles = {"no_group": "keys of no group", "hydra": "Hydra's own keys", **TITLES}
    for name, meaning in OTHERS.items():
        yield f"| [{titles.get(name, name)}]({name}.md) | {plain(meaning)} |"


def _tables(topic: str) -> Iterator[str]:
    yield from (f"`clrun help {topic}` prints the same.", "")
    for table in TOPICS[topic].tables():
        yield from (f"{table.caption}:", "", *definitions(table.rows))
