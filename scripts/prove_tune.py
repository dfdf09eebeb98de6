"""What `clrun tune` promises, shown on digits; see scripts/prove_tune."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev

from clrun.metrics.paired import compared

SETTING = ("strategy=der", "strategy.train_epochs=1")
SEARCHED = (
    "strategy.lr=tag(log,interval(0.01,1))",
    "strategy.train_mb_size=8,16,32",
    "strategy.alpha=0.1,0.2,0.5",
    "strategy.beta=0.5,1.0",
    "benchmark.validation_fraction=0.2",
    "seed=0,1,2",
)
SEEDS = "seed=range(3,13)"
"""ten, none of a trial's"""
PEEKING = ("AtTheNextExperience", "AtTheTestStream", "AtTheSource")


def main(kills: int) -> int:
    """Show all of it; the exit code, 0 if it held."""
    here = str(Path(__file__).resolve().parent)  # where jobs find peeking.py
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        held = [_killed(kills), *map(_peeked, PEEKING), _better()]
    return int(not all(held))


def _killed(kills: int) -> bool:
    """A study that is left alone and one that is not."""
    _clrun("tune", *SETTING, *SEARCHED, "hydra.sweep.dir=whole")
    words, rng = ["tune", *SETTING, *SEARCHED, "hydra.sweep.dir=cut"], random.Random(0)
    for number in range(kills):
        process = subprocess.Popen(_command(*words), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        wanted = rng.randint(1, 3)
        for line in iter(process.stdout.readline, ""):
            wanted -= "  trial " in line
            if not wanted:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        words = ["resume", "cut"]
        print(f"killed {number + 1} of {kills}", flush=True)
        time.sleep(2)  # its jobs end with it
    _clrun(*words)
    same = Path("whole/trials.jsonl").read_bytes() == Path("cut/trials.jsonl").read_bytes()
    print(f"after {kills} kills the study asked for {'the same' if same else 'OTHER'} trials")
    return same


def _peeked(name: str) -> bool:
    """A strategy that peeks ends its study."""
    words = ["strategy=naive", f"strategy.target=peeking:{name}", "strategy.lr=0.1,0.2"]
    ended = _run("tune", *words, "strategy.train_epochs=1", f"hydra.sweep.dir={name}")
    last = ended.stderr.splitlines()[-1]
    print(f"{name}: exit code {ended.returncode}: {last}", flush=True)
    return ended.returncode == 1 and " may " in last and "open" in last


def _better() -> bool:
    """What was chosen against the defaults, on the test stream, seed by seed."""
    _clrun("-m", *SETTING, SEEDS, "hydra.sweep.dir=defaults")
    _clrun("-m", "--config-dir", "whole", "experiment=best", SEEDS, "hydra.sweep.dir=tuned")
    usual, tuned = (_accuracies(Path(name)) for name in ("defaults", "tuned"))
    for name, found in (("defaults", usual), ("tuned", tuned)):
        values = list(found.values())
        print(f"{name}: {mean(values):.4f} sd {stdev(values):.4f}: {_listed(values)}")
    assert usual.keys() == tuned.keys(), "the same seeds"
    comparison = compared(list(tuned.values()), [usual[seed] for seed in tuned])
    print(
        f"tuned - defaults over {comparison.n} seeds, tested: {comparison.mean:+.4f} (95 %: "
        f"{comparison.low:+.4f} to {comparison.high:+.4f}; permutation test: p={comparison.p:.4f})"
    )
    return comparison.mean > 0 and comparison.is_shown


def _accuracies(sweep: Path) -> dict[str, float]:
    """Seed -> accuracy."""
    with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as table:
        return {row["seed"]: float(row["acc_final"]) for row in csv.DictReader(table)}


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _clrun(*words: str) -> None:
    ended = _run(*words)
    if ended.returncode:
        sys.exit(f"clrun {' '.join(words)}: exit code {ended.returncode}\n{ended.stderr}")
    best = next((line for line in ended.stdout.splitlines() if line.startswith("best ")), None)
    print(best or f"clrun {' '.join(words)}", flush=True)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*words), capture_output=True, text=True, check=False)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clrun", *words]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
