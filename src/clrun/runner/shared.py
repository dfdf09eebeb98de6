"""A beginning that several runs have in common: trained once, and gone on from by each of them.

It is a run that stopped at a moment, with the folder of one, below that of the sweep. A run that
begins there takes over its state and its log, each of whose lines is marked, so that nothing of
what the run did and cost is missing from its own folder.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrun.config.moment import Moment
from clrun.disk.opening import open_regular
from clrun.errors import ClrunError, NoCheckpoint, StorageError, Unsavable
from clrun.records.checkpoint import Checkpoints
from clrun.records.identity import differences
from clrun.records.raw_log import RawLog
from clrun.records.run_folder import RunFolder, read_record
from clrun.runner.saving import Saver
from clrun.runner.state import RunState
from clrun.strategies.run_keys import RunKeys
from clrun.strategies.step import START

SHARED = (".sweep", "shared")
"""Where the folders of shared beginnings are, below that of their sweep."""
MARK = b', "shared": true}'
"""How a line of metrics.jsonl ends that another run wrote."""

note = logging.getLogger("clrun.note")


@dataclass(frozen=True)
class Beginning:
    """The folder of a run that stopped at a moment; its name tells it from any other."""

    folder: Path

    def missing(self) -> str | None:
        """What is wrong with it as a beginning; None where a run can begin there."""
        status = read_record(self.folder).get("status")
        return None if status == "completed" else f"{self.folder}: is not completed"

    def state(self) -> tuple[dict[str, Any], bytes]:
        """What `RunState.plain` gave there, for a log that begins with the marked lines.

        Raises:
            NoCheckpoint, StorageError, OSError: it cannot be read.
        """
        saved = Checkpoints(self.folder / "checkpoints").newest()
        if saved is None:
            raise NoCheckpoint(f"{self.folder}: has no state")
        recorder = saved.state["recorder"]
        with open_regular(self.folder / "metrics.jsonl") as file:
            content = file.read(recorder["raw_log"]["offset"])
        lines = b"".join(_marked(line) for line in content.splitlines())
        log = {**recorder["raw_log"], "offset": len(lines)}
        return {**saved.state, "recorder": {**recorder, "raw_log": log}}, lines


class Reached(Exception):
    """The moment came until which a run is wanted."""


def stop_at(moment: Moment, state: RunState, keys: RunKeys) -> None:
    """Called between two updates; the keys say how long an experience is learnt.

    Raises:
        Reached: this is the moment.
        ClrunError: it passed.
    """
    at_end = keys.is_over(state.start.epoch, state.made)
    now = Moment(state.experience, at_end or state.is_learnt)
    if now < moment:
        return
    if now == moment and not state.is_learnt and (at_end or state.start == START):
        raise Reached
    raise no_such(moment)


def no_such(moment: Moment) -> ClrunError:
    """What to say of a run that passes a moment without a place where it can stop."""
    return ClrunError(f"this run has no place between two updates at the {moment}.")


def keep_reached(saver: Saver, state: RunState) -> None:
    """Save the state that others begin from.

    Raises:
        Unsavable: it cannot be.
    """
    if not saver.save(state):
        raise Unsavable("the state cannot be saved, so that nobody can begin from it.")


def shared_state(
    given: Beginning | None, run_folder: RunFolder, raw_log: RawLog
) -> dict[str, Any] | None:
    """The state that a run begins from, its log's first lines written; None: from nothing.

    Where nothing is `given`, the record of a run that is begun again says it. What is not there any
    more, or was made by something else than this run would be, is passed over with a note: the
    numbers are the same without it.
    """
    beginning = given or _recorded(run_folder)
    if beginning is None:
        return None
    try:
        problem = beginning.missing() or _other(beginning, run_folder.record)
        state, lines = ({}, b"") if problem else beginning.state()
    except (NoCheckpoint, StorageError, OSError, LookupError) as error:
        problem = " ".join(str(error).split())
    if problem:
        note.warning("the run begins with its first update, and shares none: %s", problem)
        return None
    run_folder.update(shared={"name": beginning.folder.name})
    raw_log.begin_with(lines)  # after the record: a run that is killed now begins so again
    return state


def _recorded(run_folder: RunFolder) -> Beginning | None:
    """Where a run began, by its record: what has that name beside it, or further up."""
    shared = run_folder.record.get("shared")
    name = shared.get("name") if isinstance(shared, Mapping) else None
    if not run_folder.is_continued or not re.fullmatch(r"[0-9a-f]{8,64}", str(name)):
        return None
    places = [parent.joinpath(*SHARED, str(name)) for parent in run_folder.path.absolute().parents]
    return Beginning(next((place for place in places if place.is_dir()), places[0]))


def _other(beginning: Beginning, record: Mapping[str, Any]) -> str | None:
    """What of a beginning's machine, code and data is not this run's; its keys are let differ."""
    was, is_now = ({**r, "config_hash": None} for r in (read_record(beginning.folder), record))
    return "; ".join(differences(was, is_now)) or None


def _marked(line: bytes) -> bytes:
    """A line as it stands in the log of a run that did not write it, with its end."""
    assert line.endswith(b"}"), line
    return (line if line.endswith(MARK) else line[:-1] + MARK) + b"\n"
