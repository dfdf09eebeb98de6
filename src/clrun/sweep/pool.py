"""The processes of a worker: a holder for each stream, and what they say. No torch here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from clrun.sweep.endings import ending
from clrun.sweep.holder_entry import hold_stream
from clrun.sweep.messages import Begin, Done, Note, Send
from clrun.sweep.server import Surroundings, context, started
from clrun.sweep.unit import Unit

Message = Note | Done

LOST = -9
"""What a job ends with whose holder is gone: the system kills it."""


QUICKLY_CUT = "clrun.streams.split:"
"""Benchmarks that cut rows which were read once into the stream of any seed, in milliseconds."""


def stream_of(unit: Unit) -> str:
    """What is the same for units whose data one process holds: the seed counts where the data of
    another one would have to be read anew."""
    plain = unit.config
    nodes, root = plain["nodes"], plain["root"]
    limits = (root.get("first_experiences"), nodes["eval"]["values"].get("stream"))
    is_cut = str(nodes["benchmark"].get("target")).startswith(QUICKLY_CUT)
    seen = (nodes["benchmark"], None if is_cut else root["seed"], plain["where"], limits)
    return json.dumps(seen, sort_keys=True)


@dataclass
class _Holder:
    process: ForkServerProcess
    end: Connection
    units: set[str] = field(default_factory=set)
    """names of those that run there"""


class Pool:
    """Starts units in processes and hears of their end. Nothing of it outlives `close`."""

    def __init__(self, sweep: Path) -> None:
        self._sweep = sweep
        self._holders: dict[str, _Holder] = {}

    def begin(self, begin: Begin) -> None:
        """Start a unit; its end is heard of, however it starts.

        Raises:
            ClrunError: no process can be started.
        """
        stream = stream_of(begin.unit)
        holder = self._holders.get(stream)
        if holder is None or not holder.process.is_alive():
            holder = self._started(stream)
        holder.units.add(begin.unit.name)
        _send(holder, begin)

    def send(self, name: str, number: int) -> None:
        """Let a running unit's process have this signal."""
        for holder in self._holders.values():
            if name in holder.units:
                _send(holder, Send(name, number))

    def kill_holder_of(self, name: str) -> None:
        """End the process that started a unit, and that with it, where nothing else helps."""
        for holder in self._holders.values():
            if name in holder.units:
                holder.process.kill()

    def keep(self, is_needed: Callable[[str], bool]) -> None:
        """Let holders go that have nothing running, and whose stream is not needed."""
        for stream, holder in list(self._holders.items()):
            if not holder.units and not is_needed(stream):
                self._end(stream)

    def wait(self, seconds: float | None, *also: int) -> list[Message]:
        """What is said until then; nothing where one of `also` is readable before."""
        ends: dict[object, str] = {}
        for stream, holder in self._holders.items():
            ends[holder.end] = ends[holder.process.sentinel] = stream
        ready = connection.wait([*ends, *also], seconds)  # type: ignore[list-item]
        streams = dict.fromkeys(ends[end] for end in ready if end in ends)
        return [message for stream in streams for message in self._said(stream)]

    def close(self) -> None:
        """End every process."""
        for stream in list(self._holders):
            self._end(stream)

    def _started(self, stream: str) -> _Holder:
        mine, its = context().Pipe()
        with its:
            process = started(hold_stream, its, Surroundings.here(), self._sweep)
        self._holders[stream] = _Holder(process, mine)
        return self._holders[stream]

    def _said(self, stream: str) -> Iterator[Message]:
        """All that a holder has said; of one that is gone, that its jobs are gone too."""
        holder = self._holders[stream]
        try:
            while holder.end.poll():
                message = holder.end.recv()
                if isinstance(message, Done):
                    holder.units.discard(message.name)
                yield message
            is_gone = not holder.process.is_alive()
        except (EOFError, OSError):
            is_gone = True
        if is_gone:
            lost = sorted(holder.units)
            code = self._end(stream)
            for name in lost:
                reason = f"the process that holds its data {_ended(code)}"
                yield Done(name, LOST, reason)

    def _end(self, stream: str) -> int | None:
        """End a holder and what runs there; its exit code."""
        holder = self._holders.pop(stream)
        holder.end.close()
        if holder.process.exitcode is None:
            holder.process.kill()
        holder.process.join()
        code = holder.process.exitcode
        holder.process.close()
        return code


def _ended(code: int | None) -> str:
    return "is gone" if code is None else ending(code)


def _send(holder: _Holder, message: Begin | Send) -> None:
    try:
        holder.end.send(message)
    except OSError:  # it is gone, which `wait` says
        return
