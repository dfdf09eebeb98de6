"""Starting the sides of a case, one process after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from agreement import difference, parity
from cases import Case
from data import Images, make
from records import Record

HERE = Path(__file__).absolute().parent
ROOT = HERE.parent
HELP = {
    "clrun_help": ["-m", "clrun", "--help"],
    "hydra_help": [str(HERE / "sides" / "hydra_app.py"), "--help"],
}
MODULES = {
    ("herding", "clrun"): "herding",
    ("herding", "raw"): "herding",
    ("herding", "avalanche"): "avalanche_herding",
}
"""(kind of case, side) -> module in sides/, where it is not called as the side is."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "raw_overwriting": ("raw", {"overwrites": True}),
    "clrun_uncached": ("clrun", {"words": ["strategy.latent_cache=off"]}),
    "sweep_apart": ("sweep", {"words": ["sweep.share=off"]}),
    "sweep_serial": ("sweep", {"words": ["hydra/launcher=basic"]}),
}
"""Side -> another side with other settings; words come on top of the case's."""


class Bench:
    """Fresh processes on the same files."""

    def __init__(self, work: Path, source: Images, python: dict[str, str], threads: int) -> None:
        self.work, self.source, self.python, self.threads = work, source, python, threads

    def run(self, case: Case, sides: list[str], repeats: int, record: Record) -> None:
        """Take the turns of the sides that are not on record."""
        turns = [(repeat, side) for repeat in range(repeats) for side in sides]
        missing = [turn for turn in turns if not record.has(*turn)]
        if not missing:
            return
        settings = case.as_json() | {"threads": self.threads}
        if case.data is not None:
            settings["data_file"] = str(self.work / f"{case.name}.npz")
            make(settings["data"], self.source, Path(settings["data_file"]))
        for repeat, side in missing:
            turn = settings | {"seed": repeat % case.seeds}
            if case.data is not None and "model" in turn:
                turn["weights_file"] = self._weights_file(turn)
            result = self._one(side, turn) | self._agreement(side, turn)
            record.add(repeat, side, result)
            print(f"  {repeat + 1}/{repeats} {side:<14} {_brief(result)}", flush=True)
        if case.data is not None:
            Path(settings["data_file"]).unlink()

    def _weights_file(self, turn: dict[str, Any]) -> str:
        """The same initial weights for every side."""
        file = self.work / f"weights-{turn['name']}-{turn['seed']}.npz"
        if not file.exists():
            self._one("initial_weights", turn | {"weights_file": str(file)})
        return str(file)

    def _one(self, side: str, turn: dict[str, Any]) -> dict[str, Any]:
        """Run a side in a process of its own; return its numbers."""
        if side in HELP:
            return {"process_cpu": self._process([self.python["clrun"], *HELP[side]])}
        if side == "parity":
            ours = self._one("parity_clrun", turn)
            return parity(
                ours, self._one("parity_avalanche", turn | {"rows_file": ours["rows_file"]})
            )
        base, changes = VARIANTS.get(side, (side, {}))
        words = [*turn.get("words", []), *changes.get("words", [])]
        module = MODULES.get((turn["kind"], base), base)
        python = self.python["avalanche" if base.endswith("avalanche") else "clrun"]
        case_file, out = self.work / "case.json", self._out(side, turn)
        case_file.write_text(json.dumps({**turn, **changes, "words": words, "side": side}))
        cpu = self._process([python, str(HERE / "side.py"), module, str(case_file), str(out)])
        return {"run_cpu": cpu, **json.loads(out.read_text()), "process_cpu": cpu}

    def _process(self, words: list[str]) -> float:
        """Run to the end; return the CPU seconds of the process.

        Raises:
            SystemExit: it failed; its last lines say why.
        """
        log = self.work / "log.txt"
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        env["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))
        with log.open("w") as target:
            child = subprocess.Popen(
                words, stdout=target, stderr=subprocess.STDOUT, env=env, cwd=self.work
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if status:
            last = "\n".join(log.read_text().splitlines()[-15:])
            raise SystemExit(f"{' '.join(words)} failed ({child.returncode}):\n{last}")
        return usage.ru_utime + usage.ru_stime

    def _agreement(self, side: str, turn: dict[str, Any]) -> dict[str, float]:
        """The distance of the loop's final weights from clrun's, which had the turn before."""
        ours, theirs = (self._out(name, turn).with_suffix(".npz") for name in ("clrun", "raw"))
        both = side == "raw" and ours.exists() and theirs.exists()
        return {"weights_difference": difference(ours, theirs)} if both else {}

    def _out(self, side: str, turn: dict[str, Any]) -> Path:
        return self.work / f"{turn['name']}-{turn['seed']}-{side}.json"


def _brief(result: dict[str, Any]) -> str:
    numbers = {name: value for name, value in result.items() if isinstance(value, int | float)}
    shown = (f"{name}={numbers[name]:.4g}" for name in numbers if not name.endswith("_wall"))
    return " ".join(shown)


def python_of(*, with_avalanche: bool) -> dict[str, str]:
    """The interpreter of each side; `scripts/bench` makes the one with Avalanche."""
    there = {"clrun": sys.executable, "raw": sys.executable}
    if with_avalanche:
        own = Path(os.environ.get("CLRUN_AVALANCHE", ROOT / ".venv" / "avalanche"))
        there["avalanche"] = str(own / "bin" / "python")
    return there
