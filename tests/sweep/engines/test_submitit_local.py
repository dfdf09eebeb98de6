"""A sweep whose workers submitit starts on this machine; one of them is warned as by Slurm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from comparing_runs import lines, results

import clrun
from clrun.sweep.engines import starting
from clrun.sweep.record import read_record

WORDS = (
    *("strategy=naive", "device=cpu", "device.threads=1", "checkpoint.every_steps=5"),
    "strategy.train_epochs=4",
)
SECONDS = 120


def command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "clrun", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def pilots(path: Path) -> list[int]:
    """The processes that each have a worker of this sweep."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"submitit.core._submit" in words and bytes(path / ".sweep" / "slurm") in words:
            found.append(int(file.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked for in /proc")
def test_a_warned_worker_saves_its_job_is_queued_again_and_all_is_as_without(workplace):
    pytest.importorskip("submitit")
    path = workplace / "sweep"
    launcher = ("launcher=slurm", "launcher.cluster=local", "launcher.wait=on")
    room = ("launcher.workers=2", "launcher.cpus_per_task=1", "launcher.gpus_per_node=0")
    sweep = command("-m", *WORDS, "seed=range(4)", *launcher, *room, f"hydra.sweep.dir={path}")
    deadline = time.monotonic() + SECONDS
    while not any(path.glob("*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    working = starting.engine_lines(path, read_record(path))

    warned = pilots(path)[0]
    os.kill(warned, signal.SIGUSR2)
    said, _ = sweep.communicate(timeout=SECONDS)

    assert sweep.returncode == 0, said
    assert working == ["submitit's local executor: workers 0-1 running"]
    assert starting.engine_lines(path, read_record(path)) == [
        "submitit's local executor: workers 0-1 ended"
    ]
    logs = "".join(log.read_text() for log in (path / ".sweep" / "slurm").glob("*_log.out"))
    assert logs.count("Requeued job") == 1
    assert logs.count("Starting with JobEnvironment") == 3
    assert "interrupted by SIGTERM" in logs
    for folder in sorted(file.parent for file in path.glob("*/results.json")):
        seed = folder.name.split("-")[2].removeprefix("s")
        alone = workplace / "alone" / seed
        clrun.run(clrun.compose([*WORDS, f"seed={seed}"]), alone)
        assert lines(folder) == lines(alone)
        assert results(folder) == results(alone)
        model = "checkpoints/model.safetensors"
        assert (folder / model).read_bytes() == (alone / model).read_bytes()
    assert len(list(path.glob("*/results.json"))) == 4
