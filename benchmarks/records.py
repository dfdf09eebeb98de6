"""The results of a case: one JSON file, written whole after every process."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cases import Case

from clrun.disk.files import write_json

ROOT = Path(__file__).absolute().parent.parent


@dataclass
class Record:
    """The numbers measured so far, and the file that keeps them."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, case: Case, threads: int, data: str) -> Record:
        """Continue the case's file where everything that matters is as it was, else start anew."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{case.name}.json"
        conditions = {
            "case": json.loads(json.dumps(asdict(case))),
            "threads": threads,
            "data": data if case.data else None,
            "code": _code_digest(),
            "machine": machine(),
        }
        if path.exists():
            content = json.loads(path.read_text())
            if all(content[name] == value for name, value in conditions.items()):
                return cls(path, content)
        return cls(path, {**conditions, "commit": _commit(), "repeats": []})

    def add(self, repeat: int, side: str, result: dict[str, Any]) -> None:
        repeats = self.content["repeats"]
        repeats.extend({} for _ in range(repeat + 1 - len(repeats)))
        repeats[repeat][side] = result
        write_json(self.path, self.content)

    def has(self, repeat: int, side: str) -> bool:
        repeats = self.content["repeats"]
        return repeat < len(repeats) and side in repeats[repeat]


def machine() -> dict[str, Any]:
    """The conditions that the numbers depend on, beside the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return {
        "processor": next(names, platform.processor()),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "hydra-core")},
    }


def _code_digest() -> str:
    digest = hashlib.blake2b(digest_size=12)
    for folder in ("src", "conf", "benchmarks", "tests/oracles"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml"):
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def _commit() -> str | None:
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
