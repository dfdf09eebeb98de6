"""A holder: a process that has read a stream once and forks one for each unit that trains on it.

It computes nothing else, so that there are no threads that a fork would lose. It lives as long as
its worker wants it, and its jobs as long as it does. Imported where torch is.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import torch

from clrun.config.bases import component
from clrun.config.run_config import RunConfig
from clrun.config.trust import trusting
from clrun.errors import ClrunError, cut
from clrun.metrics import all_metrics
from clrun.runner.building import benchmark_source
from clrun.runner.interrupt import SIGNALS
from clrun.runner.prepare import LoadedStream, load_stream, read_once
from clrun.sweep.hydra_part import HydraPart
from clrun.sweep.job_process import run_unit
from clrun.sweep.messages import Begin, Done, Note, Send
from clrun.sweep.server import Surroundings, as_ours
from clrun.sweep.watching import die_with_parent, die_with_starter, die_with_writer

LONGEST = 700
"""Characters of what a job says: a pipe takes it whole or not at all (PIPE_BUF), whenever the job
is stopped or killed."""

MOST_NOTES = 100
"""Notes of all jobs here that are handed on. The jobs' logs have every one."""

HELD_SEEDS = 2
"""Seeds whose streams are kept: jobs of one seed come together."""


@dataclass(frozen=True)
class Loaded:
    """What all jobs of a stream start from."""

    stream: LoadedStream
    hydra: HydraPart


class Streams:
    """The streams of one benchmark, for the seeds that came last; its files are read once."""

    def __init__(self, sweep: Path) -> None:
        self._sweep = sweep
        self._hydra: HydraPart | None = None
        self._held: dict[int, LoadedStream] = {}

    def of(self, plain: Mapping[str, Any]) -> Loaded | ClrunError:
        """What a unit of this configuration needs; or why there is none."""
        seed = plain["root"]["seed"]
        try:
            if seed not in self._held:
                self._held[seed] = self._read(RunConfig.of_plain(plain))
            self._hydra = self._hydra or HydraPart.of_sweep(self._sweep)
        except ClrunError as error:
            return error
        except (Exception, SystemExit) as error:  # a mistake in a benchmark of somebody's own
            return as_ours(error)
        stream = self._held[seed] = self._held.pop(seed)  # the last to go
        for other in list(self._held)[:-HELD_SEEDS]:
            del self._held[other]
        return Loaded(stream, self._hydra)

    def _read(self, config: RunConfig) -> LoadedStream:
        known = next(iter(self._held.values()), None)
        if known is not None:
            return load_stream(config, known.source)
        torch.set_num_threads(1)
        for node in config.nodes.values():
            if node.target.startswith("clrun."):  # what others import may not survive a fork
                component(node)
        all_metrics()
        source = benchmark_source(config.nodes["benchmark"])
        read_once(source)
        return load_stream(config, source)


def hold(worker: Connection, surroundings: Surroundings, sweep: Path) -> None:
    """Run the units that the worker names, each in a process of its own, until it says no more."""
    die_with_starter()
    surroundings.enter()
    with trusting(surroundings.trust):
        _Holder(worker, sweep).serve()


@dataclass
class _Job:
    name: str
    """of its unit"""
    said: Connection
    """where it says something"""
    reason: str | None = None
    """what it said of its end"""


class _Holder:
    def __init__(self, worker: Connection, sweep: Path) -> None:
        self._worker = worker
        self._streams = Streams(sweep)
        self._jobs: dict[int, _Job] = {}
        """by their processes"""
        self._selector = selectors.DefaultSelector()
        self._noted: set[str] = set()
        self._life, self._is_alive = os.pipe()
        """jobs end when nobody holds the second one any more, which is this process alone"""

    def serve(self) -> None:
        """Do what the worker says, and say what became of it."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with self._selector as selector:
            selector.register(self._worker, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                for job in self._jobs.values():
                    if job.said in ready:
                        self._hear(job)
                if woken in ready:
                    os.read(woken, 4096)
                    self._reap()
                if self._worker in ready and not self._listen():
                    return

    def _listen(self) -> bool:
        """Do the next thing the worker asks for; False once it asks for nothing more."""
        try:
            message = self._worker.recv()
        except (EOFError, OSError):
            return False
        if isinstance(message, Begin):
            self._begin(message)
        elif isinstance(message, Send):
            for process, job in self._jobs.items():
                if job.name == message.name:
                    os.kill(process, message.number)
                    os.kill(process, signal.SIGCONT)  # one that is stopped hears nothing else
        return True

    def _begin(self, begin: Begin) -> None:
        loaded = self._streams.of(begin.unit.config)
        if isinstance(loaded, ClrunError):
            reason = cut(str(loaded).splitlines()[0], LONGEST)
            trace = next(iter(getattr(loaded, "__notes__", ())), None)
            self._worker.send(Done(begin.unit.name, loaded.exit_code, reason, trace))
            return
        its, mine = os.pipe()
        me = os.getpid()
        gc.freeze()  # a search for garbage in the job leaves alone what both have
        process = os.fork()
        if process == 0:
            os.close(its)
            self._be_job(begin, loaded, Connection(mine, readable=False), me)
        os.close(mine)
        job = self._jobs[process] = _Job(begin.unit.name, Connection(its, writable=False))
        self._selector.register(job.said, selectors.EVENT_READ)

    def _be_job(self, begin: Begin, loaded: Loaded, worker: Connection, holder: int) -> NoReturn:
        """What the forked process does."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._is_alive)
            self._selector.close()
            for end in (self._worker, *(job.said for job in self._jobs.values())):
                end.close()
            die_with_parent(holder)
            die_with_writer(self._life)
            code = run_unit(
                begin,
                loaded.stream,
                loaded.hydra,
                note=lambda text: worker.send(("note", cut(text, LONGEST))),
                reason=lambda text: worker.send(("reason", cut(text, LONGEST))),
            )
        finally:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            os._exit(code)

    def _reap(self) -> None:
        """Say which jobs have ended, and what they said."""
        for process in list(self._jobs):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                job = self._jobs.pop(process)
                self._hear(job)
                self._ignore(job)
                job.said.close()
                code = os.waitstatus_to_exitcode(status)
                self._worker.send(Done(job.name, code, job.reason))

    def _hear(self, job: _Job) -> None:
        """Take what a job has said by now: it waits where nobody does."""
        try:
            while job.said.poll():
                kind, text = job.said.recv()
                if kind == "note":
                    self._note(job.name, text)
                else:
                    job.reason = text
        except EOFError:
            self._ignore(job)

    def _ignore(self, job: _Job) -> None:
        """It says nothing more."""
        if job.said in self._selector.get_map():
            self._selector.unregister(job.said)

    def _note(self, name: str, text: str) -> None:
        """Hand a note to the worker, who may have one of each; of very many no more."""
        if text in self._noted or len(self._noted) > MOST_NOTES:
            return
        self._noted.add(text)
        is_last = len(self._noted) > MOST_NOTES
        self._worker.send(Note(name, "more is noted in the logs of the jobs" if is_last else text))
