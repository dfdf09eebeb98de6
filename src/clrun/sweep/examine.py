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
from clrun.errors import ClrunError, ConfigError

if TYPE_CHECKING:
    from clrun.runner.prepare import LoadedStream, Prepared

ELSEWHERE = ("device", "channels_last", "processor")
"""What of a machine is not known before a job runs there."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Jobs to look at."""

    configs: Sequence[Mapping[str, Any]]
    """`RunConfig.plain` of those that differ by more than their seed"""
    jobs: Sequence[tuple[int, int]]
    """of each job the place of its configuration, and its seed"""
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
    for place, seed in question.jobs:
        try:
            answer.facts.append(look.at(place, seed))
        except ClrunError as error:
            if error.exit_code != ConfigError.exit_code:
                raise
            answer.problems = error.problems if isinstance(error, ConfigError) else [str(error)]
            break
    answer.notes = list(look.notes)
    return answer


class _Look:
    """Remembers what was found, and of what it was found in only the last: models take memory."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.notes: dict[str, None] = {}
        self._facts: dict[int, dict[str, Any]] = {}
        self._fingerprints: dict[str, str] = {}
        self._seedless: dict[str, Prepared] = {}
        self._last: dict[str, LoadedStream] = {}

    def at(self, place: int, seed: int) -> dict[str, Any]:
        """The facts of one job.

        Raises:
            ConfigError: it is wrong.
        """
        plain = self._question.configs[place]
        seedless = _text(
            plain["nodes"]["benchmark"],
            plain["nodes"]["eval"]["values"].get("stream"),
            plain["root"].get("first_experiences"),  # what is sealed is not in the fingerprint
        )
        stream = f"{seedless} {seed}"
        if place not in self._facts:
            prepared = self._looked(plain, seed, stream)
            self._facts[place] = self._found(prepared)
            self._seedless.setdefault(seedless, replace(prepared))  # which has not read its data
        if stream not in self._fingerprints:
            prepared = self._seedless[seedless]
            root = replace(prepared.config.root, seed=seed)
            again = replace(prepared, config=replace(prepared.config, root=root), stream=None)
            self._fingerprints[stream] = again.fingerprint
        return {"data": {"fingerprint": self._fingerprints[stream]}, **self._facts[place]}

    def _looked(self, plain: Mapping[str, Any], seed: int, stream: str) -> Prepared:
        """A configuration that was prepared with its data."""
        from clrun.console.display import make_console
        from clrun.console.downloads import Downloads
        from clrun.profiling.seconds import Seconds
        from clrun.runner.prepare import LoadedStream, all_notes, read_once, ready

        config = RunConfig.of_plain({**plain, "root": {**plain["root"], "seed": seed}})
        node, shared = config.nodes["device"], self._last.get(stream)
        device = node if self._question.is_here else _anywhere(node)
        with Downloads(make_console()) as downloads:
            prepared = ready(config, downloads, device=device, stream=shared)
            self._fingerprints[stream] = prepared.fingerprint
        self.notes |= dict.fromkeys(all_notes(prepared))
        if shared is None:
            read_once(prepared.benchmark)
            is_own = prepared.normalized_for is not None  # its images are another model's
            loaded = LoadedStream(
                source=prepared.benchmark,
                benchmark=prepared.data,
                seconds=Seconds(),
                fingerprint=prepared.fingerprint,
            )
            self._last = {} if is_own else {stream: loaded}
        return prepared

    def _found(self, prepared: Prepared) -> dict[str, Any]:
        from clrun.models.weights import origin

        machine = prepared.machine
        machine["threads"] = prepared.config.nodes["device"].config.threads
        machine["threads"] = machine["threads"] or self._question.threads
        if not self._question.is_here:
            machine = {key: machine[key] for key in machine if key not in ELSEWHERE}
        chooser = None if prepared.chooser is None else origin(prepared.chooser.model)
        of_files = {"weights": origin(prepared.model), "chooser": chooser}
        return {**machine, **{key: found for key, found in of_files.items() if found is not None}}


def _anywhere(node: Node) -> Node:
    """A device that is on any machine, to look at the rest of a run with."""
    return replace(node, config=replace(node.config, kind="cpu", precision="fp32", compile=False))


def _text(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True)
