"""What the command line does on the device: interrupted and resumed, and many seeds at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import clrun
from proving_cuda.row import Row, Rows, Where, judged
from proving_cuda.runs import EXPERIMENTS

LONG = ("benchmark=digits", "seed=1", "log_every=1", "report=false", "checkpoint.every_steps=50")
RESUMED = ("replay resident", "ar1 si")
SEEDS = ("strategy=replay", "model=mlp")


def resume(where: Where) -> Rows:
    """A run that is ended by a signal and goes on, beside one that is left alone."""
    for name in RESUMED if where.is_cuda else RESUMED[:1]:
        words = [*EXPERIMENTS[name], *LONG, f"device={where.device}"]
        words += [f"strategy.train_epochs={20 if where.is_cuda else 4}"]
        whole, cut = (where.folder / f"{name.replace(' ', '-')}-{n}" for n in ("whole", "cut"))
        clrun.run(clrun.compose(words), whole)
        kills = _interrupted(words, cut)
        _clrun("resume", str(cut))
        same = _without_times(whole) == _without_times(cut)
        found = f"{kills} interruption; {'the same numbers' if same else 'OTHER numbers'}"
        yield Row("resume", name, found, judged(same and kills > 0))


def seeds(where: Where) -> Rows:
    """Eight seeds one after another, and at once."""
    count = 8 if where.is_cuda else 2
    epochs = f"strategy.train_epochs={5 if where.is_cuda else 1}"
    took = {}
    for jobs in (1, count):
        folder = where.folder / f"seeds-{jobs}"
        words = [*SEEDS, epochs, f"device={where.device}", f"seed=range({count})", "report=false"]
        words += [f"launcher.jobs_per_gpu={jobs}", f"launcher.workers={jobs}"]
        start = time.perf_counter()
        _clrun("-m", *words, f"hydra.sweep.dir={folder}")
        took[jobs] = time.perf_counter() - start
    found = f"{took[1]:.1f} s one after another, {took[count]:.1f} s at once"
    yield Row("seeds", f"{count} seeds of replay mlp", found)


def _interrupted(words: list[str], folder: Path) -> int:
    """Start a run and interrupt it once it has learnt something; how often that came in time."""
    process = subprocess.Popen(_command(*words, f"hydra.run.dir={folder}"), stdout=subprocess.PIPE)
    log = folder / "metrics.jsonl"
    while process.poll() is None:
        if log.exists() and log.read_bytes().count(b'"kind": "step"') > 60:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.05)
    process.communicate()
    return int(process.returncode == 130)


def _without_times(folder: Path) -> list[Any]:
    """The losses of all updates and the accuracies."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    losses = [line["loss"] for line in map(json.loads, lines) if line["kind"] == "step"]
    return [losses, json.loads((folder / "results.json").read_text())["accuracy_matrix"]]


def _clrun(*words: str) -> None:
    ended = subprocess.run(_command(*words), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"clrun {' '.join(words)}: {ended.stderr.strip()[-200:]}"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clrun", *words]
