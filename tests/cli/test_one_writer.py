"""One process writes to a run folder; whoever is refused leaves every byte of it as it was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clrun.cli.main import main

QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")
LONG = ("strategy=naive", "strategy.train_epochs=5000", "device=cpu", "device.threads=1")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The time of every file and folder, and what is in it."""
    found = [folder, *folder.rglob("*")]
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in found
    }


def clrun(*words: str, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "clrun", *words]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **more)


@pytest.mark.parametrize("command", [(), ("run",), ("profile",)], ids=lambda words: " ".join(words))
def test_a_run_that_is_refused_leaves_a_finished_one_as_it_was(command, workplace, capsys):
    assert main([*QUICK, "hydra.run.dir=run"]) == 0
    before = contents(workplace)
    capsys.readouterr()

    assert main([*command, *QUICK, "seed=9", "hydra.run.dir=run"]) == 3

    assert contents(workplace) == before
    [line] = capsys.readouterr().err.splitlines()
    assert "run: holds a run already (status completed)." in line


def test_who_is_refused_is_shown_the_holder_before_anything_is_loaded(workplace):
    first = clrun(*LONG, "hydra.run.dir=run", stdout=subprocess.DEVNULL)
    while not (workplace / "run" / "metrics.jsonl").exists():
        time.sleep(0.02)
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)  # or the files would change by its own doing
    before = contents(workplace / "run")
    code = "import sys; from clrun.cli.main import main; n = main(sys.argv[1:])\n"
    loaded = f"{code}print('torch' in sys.modules, n)"

    second = subprocess.run(
        [sys.executable, "-c", loaded, *QUICK, "seed=9", "hydra.run.dir=run"],
        text=True,
        capture_output=True,
    )
    after = contents(workplace / "run")
    first.kill()
    first.communicate()

    assert second.stdout == "False 3\n"
    assert re.fullmatch(
        rf"clrun: {workplace}/run: another run is writing here "
        rf"\(process {first.pid} on \S+ since 20\S+\)\.\n",
        second.stderr,
    )
    assert after == before


def test_of_many_that_start_at_once_on_a_folder_one_runs(workplace):
    count = 3
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        clrun(
            *QUICK, f"seed={seed}", "hydra.run.dir=run", stdout=subprocess.DEVNULL, env=environment
        )
        for seed in range(count)
    ]

    messages = [process.communicate(timeout=300)[1] for process in started]

    codes = [process.returncode for process in started]
    assert sorted(codes) == [0] + [3] * (count - 1), messages
    winner = codes.index(0)
    for saved in ("config.yaml", "overrides.yaml"):
        assert (
            f"seed{'=' if saved[0] == 'o' else ': '}{winner}"
            in (workplace / "run" / ".hydra" / saved).read_text()
        )
    assert f'"seed": {winner}' in (workplace / "run" / "run.json").read_text()
