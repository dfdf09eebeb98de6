"""What of a sweep's jobs only torch can tell: that model and data fit, and what tells their data.

It is asked in one process that has torch (`clrun.sweep.server`), for all jobs together: what many
of them have in common is looked at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clrun.config.run_config import Node, RunConfig
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.runner.prepare import Prepared

ELSEWHERE = ("device", "channels_last", "processor")
"""What of a machine is not known before a job runs there."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Jobs to look at."""

    configs: Sequence[Mapping[str, Any]]
    """`RunConfig.plain` of each"""
    threads: int
    """of a job that does not say it itself"""
    is_here: bool
    """whether jobs run on this machine; elsewhere may be devices that are not here"""


@dataclass
class Answer:
    """What was found."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    """of each job what run.json will have: `data`, `weights`, `chooser`, and of the machine
    `device`, `threads`, `channels_last` and `processor`"""
    notes: list[str] = field(default_factory=list)
    """what is valid and yet worth a line"""
    problems: list[str] = field(default_factory=list)
    """of the first job that is wrong, whose place is the number of facts"""


def examined(question: Question) -> Answer:
    """Look at the jobs, in order, until one is wrong. In a process with torch.

    Raises:
        ClrunError: something else than the input is wrong, such as a disk.
    """
    answer, look = Answer(), _Look(question)
    for plain in question.configs:
        try:
            answer.facts.append(look.at(plain))
        except ConfigError as error:
            answer.problems = error.problems
            break
    answer.notes = list(look.notes)
    return answer


class _Look:
    """Remembers what was looked at."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.notes: dict[str, None] = {}
        self._prepared: dict[str, tuple[Prepared, dict[str, Any]]] = {}
        self._fingerprints: dict[str, str] = {}

    def at(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of one job.

        Raises:
            ConfigError: it is wrong.
        """
        nodes, root = plain["nodes"], plain["root"]
        first = root.get("first_experiences")  # what a run may not see is not in its fingerprint
        key = _text(nodes, plain["plugins"], first)
        data = _text(nodes["benchmark"], root["seed"], first, nodes["eval"]["values"].get("stream"))
        if key not in self._prepared:
            self._prepare(key, data, plain)
        prepared, facts = self._prepared[key]
        if data not in self._fingerprints:
            seeded = replace(prepared.config.root, seed=root["seed"])
            self._read(data, replace(prepared, config=replace(prepared.config, root=seeded)))
        return {"data": {"fingerprint": self._fingerprints[data]}, **facts}

    def _prepare(self, key: str, data: str, plain: Mapping[str, Any]) -> None:
        from clrun.console.display import make_console
        from clrun.console.downloads import Downloads
        from clrun.runner.prepare import all_notes, ready

        config = RunConfig.of_plain(plain)
        node = config.nodes["device"]
        device = node if self._question.is_here else _anywhere(node)
        with Downloads(make_console()) as downloads:
            prepared = ready(config, downloads, device=device)
            self._read(data, prepared)
        self.notes |= dict.fromkeys(all_notes(prepared))
        self._prepared[key] = replace(prepared), self._facts(prepared)  # a copy holds no data

    def _facts(self, prepared: Prepared) -> dict[str, Any]:
        """What is the same for every seed."""
        from clrun.models.weights import origin

        machine = prepared.machine
        machine["threads"] = prepared.config.nodes["device"].config.threads
        machine["threads"] = machine["threads"] or self._question.threads
        if not self._question.is_here:
            machine = {key: machine[key] for key in machine if key not in ELSEWHERE}
        chooser = None if prepared.chooser is None else origin(prepared.chooser.model)
        of_files = {"weights": origin(prepared.model), "chooser": chooser}
        return {**machine, **{key: found for key, found in of_files.items() if found is not None}}

    def _read(self, data: str, prepared: Prepared) -> None:
        from clrun.streams.fingerprint import fingerprint

        self._fingerprints[data] = fingerprint(prepared.data)


def _anywhere(node: Node) -> Node:
    """A device that is on any machine, to look at the rest of a run with."""
    return replace(node, config=replace(node.config, kind="cpu", precision="fp32", compile=False))


def _text(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)
