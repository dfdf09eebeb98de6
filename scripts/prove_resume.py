"""Kill runs at random moments, resume them until they are done, and compare every byte.

    python scripts/prove_resume.py N [--signals M] [--only CASE...] [--seed S] [--keep DIR] [--list]

N runs of each case are each killed (SIGKILL) at least three times, anywhere from the first moment
on, and continued with `clrun resume`. Their results.json, metrics.jsonl, accuracy_matrix.csv and
the files of the model must be those of a run that nobody disturbed, but for times, the peaks of
memory and what a file says of when it was written. With --signals, M runs for each of five signals
are interrupted once at a random moment: they must be gone within ten seconds with 128 + the
signal's number, and be the same after `clrun resume`. A fork server that has torch imported makes
an attempt cheap. The seed is printed and decides the moments.
The exit code is 1 if a run differs or a process ended otherwise.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILLS = 3
"""How often each run is killed at least."""
MOST_KILLS = 8
JITTER = 0.15
"""Seconds after a line was written in which a kill may come: a few updates and their saving."""
SECONDS_TO_LEAVE = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

SMALL = (
    *("device=cpu", "device.threads=1", "log_every=3", "checkpoint.every_steps=3"),
    *("benchmark.limit_per_class=40", "strategy.train_epochs=2", "strategy.train_mb_size=16"),
)
CNN = ("model=cnn", "model.channels=[8,16]")
CASES: dict[str, tuple[str, ...]] = {
    "naive_sgd": ("strategy=naive", "strategy.momentum=0.9", *CNN),
    "naive_adam": ("strategy=naive", "strategy.optimizer=adam", "strategy.lr=0.001", *CNN),
    "replay_herding": (
        *("strategy=replay", "storage_policy=class_balanced", "selection=herding"),
        *("strategy.mem_size=60", "strategy.eval_every=1", "model.dropout=0.25", *CNN),
        *("eval.every_steps=2", "eval.subset=9"),
    ),
    "replay_online": (
        *("strategy=replay", "strategy.memory_update=minibatch", "storage_policy=reservoir"),
        *("strategy.mem_size=60", "benchmark.augment=crop", "strategy.train_epochs=1"),
    ),
    "cumulative_files": (
        *("strategy=cumulative", "benchmark=folder", "benchmark.data_root={photos}"),
        *("benchmark.image_size=16", "benchmark.n_experiences=3", *CNN),
    ),
    "ar1_cnn": (
        *("strategy=ar1", "model.norm=batch", "strategy.latent_layer=features.relu0"),
        *("strategy.rm_sz=30", "strategy.ewc_lambda=0.5", "strategy.latent_dtype=uint8", *CNN),
        *("strategy.eval_every=1",),
    ),
    "ar1_mobilenet": (
        *("strategy=ar1", "strategy.ewc_lambda=0.5", "benchmark.limit_per_class=8"),
        *("strategy.rm_sz=10", "strategy.train_epochs=1", "strategy.train_mb_size=8"),
    ),
}
UNEQUAL = (
    *("seconds", "wall_seconds", "cpu_seconds", "energy_joules_estimate"),
    *("rss_peak_bytes", "device_peak_bytes", "peak_rss_bytes"),
)
"""What may differ in the lines and results of two runs."""


@dataclass
class Tally:
    """What came of the runs of a case."""

    runs: int = 0
    identical: int = 0
    kills: int = 0
    half_written: int = 0
    resumed: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed: what it wrote, and how long it took."""

    content: dict[str, Any]
    until_first: float
    """seconds until it wrote its first line"""
    size: int
    """bytes of its log"""


def child(words: Sequence[str], log: Path) -> None:
    """The command of these words, in a process that the fork server has made."""
    for number in SIGNALS:  # as in a terminal: the fork server, or nohup, may ignore some
        signal.signal(number, signal.SIG_DFL)
    os.chdir(log.parent)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from clrun.cli.main import command

    sys.argv[1:] = words
    sys.exit(command())


@dataclass(frozen=True)
class Moment:
    """When a signal is sent: so many seconds after a file has so many bytes."""

    file: Path
    size: int
    seconds: float

    def has_come(self) -> bool:
        return _size(self.file) >= self.size


class Attempts:
    """Starts commands in new processes that have torch imported."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        parts = ("cli.hydra_app", "cli.job", "cli.resume", "strategies.replay", "strategies.ar1")
        self._context.set_forkserver_preload(["torch", *(f"clrun.{part}" for part in parts)])
        warm_up = self._context.Process(target=os.getpid)  # the first one waits for the imports
        warm_up.start()
        warm_up.join()

    def start(self, words: Sequence[str], log: Path) -> Any:
        process = self._context.Process(target=child, args=(list(words), log))
        process.start()
        return process

    def interrupted(
        self, words: Sequence[str], log: Path, moment: Moment, number: int
    ) -> tuple[int, bool, float]:
        """The exit code, whether the signal found it alive, and seconds from there to its end."""
        process = self.start(words, log)
        while process.is_alive() and not moment.has_come():
            process.join(0.003)
        process.join(moment.seconds)
        is_alive = process.is_alive()
        sent = time.monotonic()
        if is_alive:
            os.kill(process.pid, number)
        process.join(120)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode, is_alive, time.monotonic() - sent


def command_of(folder: Path, overrides: Sequence[str]) -> list[str]:
    """How a run is begun, or continued where there is one."""
    if (folder / "run.json").exists():
        return ["resume", str(folder)]
    return [*overrides, f"hydra.run.dir={folder}"]


def status_of(folder: Path) -> str | None:
    """What run.json says."""
    file = folder / "run.json"
    return json.loads(file.read_text())["status"] if file.exists() else None


def cleaned(value: Any) -> Any:
    """A value without what may differ."""
    if isinstance(value, dict):
        return {key: cleaned(held) for key, held in value.items() if key not in UNEQUAL}
    return [cleaned(held) for held in value] if isinstance(value, list) else value


def content_of(folder: Path) -> dict[str, Any]:
    """All that must be the same: each line, the results, the tensors of the model."""
    from safetensors import safe_open

    lines = (folder / "metrics.jsonl").read_text().splitlines()
    content = {
        f"metrics.jsonl:{k}": json.dumps(cleaned(json.loads(x))) for k, x in enumerate(lines)
    }
    content["results.json"] = json.dumps(cleaned(json.loads((folder / "results.json").read_text())))
    content["accuracy_matrix.csv"] = (folder / "accuracy_matrix.csv").read_bytes()
    model = folder / "checkpoints" / "model.safetensors"
    if model.exists():
        with safe_open(model, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118, it is no mapping
                tensor = file.get_tensor(name)
                content[f"model:{name}"] = (str(tensor.dtype), bytes(tensor.numpy(force=True).data))
    return content


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The names of what is not the same."""
    names = sorted(set(found) | set(expected))
    return [name for name in names if found.get(name) != expected.get(name)]


def is_half_written(folder: Path) -> bool:
    """Whether a kill has left a temporary file, or a state without its record."""
    names = {path.name for path in (folder / "checkpoints").glob("*")}
    states = {name for name in names if name.startswith("state-")}
    records = {name.removesuffix(".json") for name in states if name.endswith(".json")}
    data = {name.removesuffix(".safetensors") for name in states if name.endswith(".safetensors")}
    others = names - states - {"model.safetensors"}
    return bool(others) or data != records


class Proof:
    """The runs of one case."""

    def __init__(
        self, name: str, overrides: Sequence[str], place: Path, rng: random.Random
    ) -> None:
        self.name, self.place, self.rng = name, place / name, rng
        self.overrides = overrides
        self.attempts, self.tally = Attempts(), Tally()
        self.place.mkdir(parents=True)
        self._known: dict[int, Undisturbed] = {}

    def words(self, seed: int) -> list[str]:
        return [*SMALL, *self.overrides, f"seed={seed}"]

    def undisturbed(self, seed: int) -> Undisturbed:
        """The run of this seed that nobody disturbs, made once."""
        if seed not in self._known:
            folder, log = self.place / f"whole-{seed}", self.place / f"whole-{seed}.log"
            start = time.monotonic()
            process = self.attempts.start(command_of(folder, self.words(seed)), log)
            while process.is_alive() and not _size(folder / "metrics.jsonl"):
                time.sleep(0.01)
            first = time.monotonic() - start
            process.join()
            if process.exitcode:
                raise SystemExit(f"{self.name}: exit code {process.exitcode}: {log.read_text()}")
            size = _size(folder / "metrics.jsonl")
            self._known[seed] = Undisturbed(content_of(folder), first, size)
        return self._known[seed]

    def killed(self, number: int) -> None:
        """A run that is killed again and again, and resumed until it is done."""
        seed, begin = number % 3, time.monotonic()
        whole, log = self.undisturbed(seed), self.place / f"{number}.log"
        while True:
            folder = self.place / str(number)
            kills = self._kill(folder, log, seed, whole)
            if kills >= KILLS:
                break
            shutil.rmtree(folder)  # it was done too early
        self._compare(folder, whole, log)
        self.tally.seconds += time.monotonic() - begin

    def _kill(self, folder: Path, log: Path, seed: int, whole: Undisturbed) -> int:
        kills, code = 0, -signal.SIGKILL
        while code == -signal.SIGKILL:
            moment = self._moment(folder, whole, 0.5 if kills < KILLS else 1.1)
            if kills >= MOST_KILLS or (kills >= KILLS and self.rng.random() < 0.5):
                moment = Moment(folder, 10**12, 0.0)  # never
            words = command_of(folder, self.words(seed))
            code, was_alive, _ = self.attempts.interrupted(words, log, moment, signal.SIGKILL)
            self.tally.resumed += words[0] == "resume"
            if code == -signal.SIGKILL and was_alive:
                kills += 1
                self.tally.half_written += is_half_written(folder)
        self.tally.kills += kills
        if code:
            self.tally.wrong.append(f"{log}: exit code {code} after {kills} kills")
        return kills if code == 0 else KILLS

    def _moment(self, folder: Path, whole: Undisturbed, far: float) -> Moment:
        """A moment in the first share `far` of what is left of the run.

        A run is as far as its log is long: seconds say little on a busy machine.
        """
        log, draw = folder / "metrics.jsonl", self.rng.random
        if draw() < 0.2:  # before it writes, or writes again
            return Moment(log, 0, draw() * whole.until_first)
        done = _size(log)
        reached = 1 + done + int(far * draw() * max(0, whole.size - done))
        return Moment(log, reached, draw() * JITTER)

    def signalled(self, number: int, sent: signal.Signals) -> None:
        """A run that a signal interrupts once."""
        seed, begin = number % 3, time.monotonic()
        whole, tally = self.undisturbed(seed), self.tally
        folder, log = self.place / f"{number}-{sent.name}", self.place / f"{number}-{sent.name}.log"
        code, was_alive, seconds = self.attempts.interrupted(
            command_of(folder, self.words(seed)), log, self._moment(folder, whole, 1.0), sent
        )
        status = status_of(folder)
        tally.codes[f"{sent.name}: {code}, {status}"] += 1
        tally.kills += was_alive
        tally.slowest = max(tally.slowest, seconds if was_alive else 0)
        allowed = {128 + sent: ("interrupted", None), 0: ("completed",), -sent: (None,)}
        if status not in allowed.get(code, ()) or (was_alive and seconds > SECONDS_TO_LEAVE):
            tally.wrong.append(f"{log}: exit code {code}, status {status}, {seconds:.1f} s")
        while status_of(folder) != "completed":
            words = command_of(folder, self.words(seed))
            tally.resumed += words[0] == "resume"
            process = self.attempts.start(words, log)
            process.join()
            if process.exitcode or status_of(folder) != "completed":
                tally.wrong.append(f"{log}: exit code {process.exitcode} when resumed")
                break
        self._compare(folder, whole, log)
        tally.seconds += time.monotonic() - begin

    def _compare(self, folder: Path, whole: Undisturbed, log: Path) -> None:
        self.tally.runs += 1
        try:
            found = differences(content_of(folder), whole.content)
        except OSError as error:
            found = [str(error)]
        if found or status_of(folder) != "completed":
            self.tally.wrong.append(f"{log}: not the same: {', '.join(found[:5])}")
            return
        self.tally.identical += 1
        shutil.rmtree(folder)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def photographs(folder: Path) -> Path:
    """A folder of small images of six classes, train and test."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for side, count in (("train", 24), ("test", 6)):
        for label in range(6):
            place = folder / side / f"class_{label}"
            place.mkdir(parents=True)
            color = rng.integers(60, 200, 3)
            for k in range(count):
                pixels = np.clip(color + rng.normal(0, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{k}.png")
    return folder


def proofs(names: Sequence[str], place: Path, rng: random.Random) -> Iterator[Proof]:
    """One for each case."""
    photos = photographs(place / "photos")
    for name in names:
        yield Proof(name, [word.format(photos=photos) for word in CASES[name]], place, rng)


def kill_and_compare(proof: Proof, runs: int) -> bool:
    """Kill `runs` runs of a case, and say what came of it."""
    for number in range(runs):
        proof.killed(number)
    tally = proof.tally
    print(
        f"{proof.name:17} {tally.identical:4} of {tally.runs} identical  {tally.kills:4} kills  "
        f"{tally.half_written:4} in the middle of a save  {tally.resumed:4} resumed  "
        f"{tally.seconds:6.0f} s",
        flush=True,
    )
    return _is_right(tally)


def signal_and_compare(proof: Proof, runs: int) -> bool:
    """Interrupt `runs` runs of a case by each signal, and say what came of it."""
    for sent in SIGNALS:
        for number in range(runs):
            proof.signalled(number, sent)
    tally = proof.tally
    print(
        f"{proof.name:17} {tally.identical:4} of {tally.runs} identical  {tally.kills:4} signals  "
        f"slowest end {tally.slowest:.1f} s  {tally.resumed:4} resumed  {tally.seconds:6.0f} s",
        *(f"\n    {count:4} x {code}" for code, count in sorted(tally.codes.items())),
        flush=True,
    )
    return _is_right(tally)


def _is_right(tally: Tally) -> bool:
    for line in tally.wrong:
        print(f"    {line}", flush=True)
    return not tally.wrong


def main() -> int:
    """Prove it, case by case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=int, nargs="?", default=0, metavar="N")
    parser.add_argument("--signals", type=int, default=0, metavar="M")
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print(*(f"{name}: {' '.join(words)}" for name, words in CASES.items()), sep="\n")
        return 0
    place = arguments.keep or Path(tempfile.mkdtemp(prefix="clrun-resume-"))
    rng, is_right = random.Random(arguments.seed), True
    print(f"seed {arguments.seed}, in {place}", flush=True)
    for proof in proofs(arguments.only, place, rng):
        if arguments.runs:
            is_right &= kill_and_compare(proof, arguments.runs)
        if arguments.signals:
            proof.tally = Tally()
            is_right &= signal_and_compare(proof, arguments.signals)
    if is_right and arguments.keep is None:
        shutil.rmtree(place)
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
