"""Starting the sides of a case, one process after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case
from data import Images, make
from parity import parity
from records import Record

HELP = {
    "clrun_help": ["-m", "clrun", "--help"],
    "hydra_help": [str(Path(__file__).parent / "sides" / "hydra_app.py"), "--help"],
}


class Bench:
    """Fresh processes on the same files."""

    def __init__(
        self, root: Path, work: Path, source: Images, python: dict[str, str], threads: int
    ) -> None:
        self.root, self.work, self.source = root, work, source
        self.python, self.threads = python, threads

    def run(self, case: Case, sides: list[str], repeats: int, record: Record) -> None:
        """Turns of the sides that are not on record."""
        missing = [
            (repeat, side)
            for repeat in range(repeats)
            for side in sides
            if not record.has(repeat, side)
        ]
        if not missing:
            return
        files = self._data_file(case)
        for repeat, side in missing:
            seed = repeat % case.seeds
            told = case.as_json() | files | {"seed": seed, "threads": self.threads}
            if case.data is not None and "model" in told:
                told["weights_file"] = str(self._weights_file(told))
            result = self._one(side, told) | self._agreement(side, told)
            record.add(repeat, side, result)
            print(f"  {repeat + 1}/{repeats} {side:<14} {_brief(result)}", flush=True)
        if case.data is not None:
            Path(files["data_file"]).unlink()

    def _data_file(self, case: Case) -> dict[str, str]:
        if case.data is None:
            return {}
        file = self.work / f"{case.name}.npz"
        make(case.as_json()["data"], self.source, file)
        return {"data_file": str(file)}

    def _weights_file(self, told: dict[str, Any]) -> Path:
        """The same initial weights for every side."""
        file = self.work / f"weights-{told['name']}-{told['seed']}.npz"
        if not file.exists():
            self._process([self.python["clrun"], str(self._side("weights.py"))], told, file)
        return file

    def _one(self, side: str, told: dict[str, Any]) -> dict[str, Any]:
        out = self._out(side, told)
        if side in HELP:
            return {"process_cpu": self._process([self.python["clrun"], *HELP[side]], None, out)}
        if side == "parity":
            ours = self._one("parity_clrun", told)
            theirs = self._one("parity_avalanche", told | {"rows_file": ours["rows_file"]})
            return parity(ours, theirs)
        python = self.python["avalanche" if side.endswith("avalanche") else "clrun"]
        name = f"{side}_herding_side.py" if told["kind"] == "herding" else f"{side}_side.py"
        cpu = self._process([python, str(self._side(name))], told, out)
        return {**json.loads(out.read_text()), "process_cpu": cpu}

    def _process(self, words: list[str], told: dict[str, Any] | None, out: Path) -> float:
        """Run to the end; its CPU seconds.

        Raises:
            SystemExit: it failed; its last lines say why.
        """
        log = self.work / "log.txt"
        if told is not None:
            file = self.work / "case.json"
            file.write_text(json.dumps(told))
            words = [*words, str(file), str(out)]
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        env["PYTHONPATH"] = str(self.root / "src")
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

    def _agreement(self, side: str, told: dict[str, Any]) -> dict[str, float]:
        """How far the loop's final weights are from clrun's, which had the turn before."""
        ours, theirs = (self._out(name, told).with_suffix(".npz") for name in ("clrun", "raw"))
        both = side == "raw" and ours.exists() and theirs.exists()
        return {"weights_difference": difference(ours, theirs)} if both else {}

    def _out(self, side: str, told: dict[str, Any]) -> Path:
        return self.work / f"{told['name']}-{told['seed']}-{side}.json"

    def _side(self, script: str) -> Path:
        return self.root / "benchmarks" / "sides" / script


def _brief(result: dict[str, Any]) -> str:
    shown = [
        f"{name}={value:.4g}"
        for name, value in result.items()
        if isinstance(value, int | float) and not name.endswith("_wall")
    ]
    return " ".join(shown)


SMALLEST = 1e-3
"""What weights are compared with where all of a tensor's are smaller."""


def difference(first: Path, second: Path) -> float:
    """Largest difference of two sides' weights, in units of a tensor's largest. 0: same bits."""
    with np.load(first) as ours, np.load(second) as theirs:
        assert set(ours.files) == set(theirs.files), set(ours.files) ^ set(theirs.files)
        return max(
            float(np.abs(ours[name] - theirs[name]).max())
            / max(float(np.abs(theirs[name]).max()), SMALLEST)
            for name in ours.files
        )


def python_of(root: Path, *, with_avalanche: bool) -> dict[str, str]:
    """The interpreter of each side; `scripts/bench` makes the one with Avalanche."""
    there = {"clrun": sys.executable, "raw": sys.executable}
    if with_avalanche:
        own = Path(os.environ.get("CLRUN_AVALANCHE", root / ".venv" / "avalanche"))
        there["avalanche"] = str(own / "bin" / "python")
    return there
