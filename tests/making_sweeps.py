"""Sweeps as tests need them: written down without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clrun import compose
from clrun.sweep.manifest import Job, write_manifest
from clrun.sweep.record import SweepOptions, SweepRecord, write_record

MISBEHAVING = """
import logging, os, signal, time
from dataclasses import dataclass

from clrun.strategies.naive import Naive


class Misbehaving(Naive):
    \"\"\"Does something else after half of the second experience.\"\"\"

    @dataclass(frozen=True, kw_only=True)
    class Config(Naive.Config):
        how: str

    def learn(self, experience, *start):
        for count, step in enumerate(super().learn(experience, *start)):
            if experience.index == 1 and count == 3:
                getattr(self, "_" + self.config.how)()
            yield step

    def _well(self): pass
    def _long(self): raise ValueError("long " * 100_000)

    def _many(self):
        for count in range(3000):
            logging.getLogger("clrun.note").warning("note %d: %s", count, "and so on " * 20)

    def _raise(self): raise ValueError("this was to be expected")
    def _exit(self): raise SystemExit(3)
    def _leave(self): os._exit(4)
    def _slip(self): os._exit(0)
    def _segfault(self): os.kill(os.getpid(), signal.SIGSEGV)
    def _memory(self): raise MemoryError
    def _killed(self): os.kill(os.getpid(), signal.SIGKILL)

    def _once(self, act=None):
        mark = os.environ["MARK"] + self.config.how
        if not os.path.exists(mark):
            open(mark, "w").close()
            (act or self._killed)()

    def _stall(self):
        self._once(self._hang)

    def _hang(self):
        print("hanging", flush=True)
        time.sleep(600)

    def _stop(self):
        self._once(lambda: os.kill(os.getpid(), signal.SIGSTOP))

    def _deaf(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
        self._once(self._hang)
"""

MINE = ("strategy=misbehaving", "benchmark=digits", "device=cpu", "checkpoint.every_steps=2")
SHORT = ("strategy=naive", "strategy.train_epochs=1", "benchmark=digits", "device=cpu")


def written_sweep(
    path: Path,
    points: Sequence[Sequence[str]],
    *,
    common: Sequence[str] = SHORT,
    options: SweepOptions | None = None,
    where: dict[str, object] | None = None,
) -> tuple[Job, ...]:
    """A sweep of these points in a folder, ready for workers."""
    path.mkdir(parents=True, exist_ok=True)
    jobs = []
    for number, point in enumerate(points):
        words = [*common, *point]
        config = compose(words, **(where or {}))
        jobs.append(
            Job(
                number=number,
                overrides=tuple(words),
                values=dict(word.split("=", 1) for word in point),
                folder=f"{config.label()}-{config.hash()}",
                config=config.plain(),
                identity={"config_hash": config.hash(), "threads": 1},
            )
        )
    write_manifest(path, jobs)
    record = SweepRecord(
        sweep_id=path.name,
        command="clrun -m",
        swept=tuple(jobs[0].values),
        started="2026-01-01T00:00:00+00:00",
        output_root=str(path.parent),
        options=options or SweepOptions(),
    )
    write_record(path, record)
    return tuple(jobs)


def misbehaving(folder: Path) -> dict[str, object]:
    """A configuration folder with the strategy `misbehaving`, to compose with."""
    option = folder / "conf" / "strategy" / "misbehaving.yaml"
    option.parent.mkdir(parents=True)
    option.write_text(
        "# Misbehaves.\ndefaults: [naive, _self_]\ntarget: misbehaving_code:Misbehaving\n"
        "train_epochs: 1\nhow: well\n"
    )
    (folder / "misbehaving_code.py").write_text(MISBEHAVING)
    return {"config_dirs": [folder / "conf"], "trust": True}
