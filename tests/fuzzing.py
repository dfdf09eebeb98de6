"""Random command lines and configuration files, through the path that composes and checks."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from clrun.cli.main import main
from clrun.config.sources import GROUPS, options
from clrun.console.visible import HIDDEN, LONGEST_LINE

SHOWN = ("--cfg", "job")
"""Composes, and runs nothing; `preview --help` of a kind would check no more."""
SLOW = 10.0
"""CPU seconds for one command that are a finding"""

KEYS = (
    *GROUPS,
    "experiment",
    "seed",
    "run_name",
    "output_root",
    "log_every",
    "sweep.max_jobs",
    "sweep.retries",
    "launcher.workers",
    "strategy.lr",
    "strategy.plugins",
    "strategy.target",
    "benchmark.source",
    "benchmark.n_experiences",
    "model.hidden",
    "checkpoint.keep",
    "hydra.run.dir",
    "hydra.job.name",
    "hydra.job.env_set",
    "hydra.callbacks",
    "hydra.verbose",
    "hydra.searchpath",
    "hydra/launcher",
    "hydra/job_logging",
    "hydra.launcher",
    "hydra.sweeper.params",
    "hydra.mode",
    "hydra",
    "plugin",
    "nowhere",
)
VALUES = (
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "nan",
    "''",
    "'\\0'",
    "x",
    "[]",
    "[0]",
    "[null]",
    "[[1]]",
    "{}",
    "{a: 1}",
    "{name: [si]}",
    "[{name: si}]",
    "[{name: [si]}]",
    "${seed}",
    "${nowhere}",
    "${oc.env:HOME}",
    "${oc.env:NOT_THERE}",
    "${oc.decode:'[1,2]'}",
    "${hydra:job}",
    "${",
    "int(1.5)",
    "range(3)",
    "range(1000000)",
    "1,2",
    "choice(1,2)",
    "interval(0,1)",
    "glob(*)",
    "os:system",
    "clrun.strategies.naive:Naive",
    "pkg://evil",
    "\x1b[31m",
    "\u202ex",
    "a\nb",
    "b" * 300,
)
PREFIXES = ("", "", "", "", "+", "++", "~")
LETTERS = "abz019_.-/@=:,${}[]()'\"\\ \t\n~+*!&%#|>?<\x00\x1b\x9b\u202eé"


@dataclass
class Fuzz:
    """Commands made from a seed, and what came of them."""

    seed: int
    folder: Path
    codes: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = {group: [o.name for o in options(group)] for group in GROUPS}

    def go_on(self, seconds: float) -> None:
        """Try commands for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.one()

    def one(self) -> None:
        """Try one command."""
        words = self._words()
        out, err, start = io.StringIO(), io.StringIO(), time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(list(words))
            except BaseException:  # nothing may leave main
                code = -1
                err.write(traceback.format_exc())
        self.codes[code] += 1
        reason = _wrong(code, err.getvalue(), time.process_time() - start)
        if reason:
            self.findings.append(f"{reason}: {words!r} {err.getvalue()[:300]!r}")

    def _words(self) -> list[str]:
        words = [self._word() for _ in range(self._random.randint(1, 4))]
        if self._random.random() < 0.4:
            words = ["--config-dir", str(self.folder), f"{self._file()}=x", *words]
        verb = self._random.choice(((), (), ("-m",), SHOWN, ("preview", "--unknown"), ("--help",)))
        # never a run: a key that is none makes what would be accepted be refused
        return [*verb, *words, *(() if verb in (SHOWN, ("--help",)) else ("nowhere_at_all=1",))]

    def _word(self) -> str:
        choose = self._random.choice
        kind = self._random.random()
        if kind < 0.1:
            return "".join(choose(LETTERS) for _ in range(self._random.randint(1, 40)))
        key = choose(KEYS)
        value = choose(VALUES)
        if kind < 0.3 and key in self._names:
            value = choose(self._names[key])
        if kind > 0.85:
            value += choose(VALUES)
        if kind > 0.95:
            key = f"{key}{choose(('@', '.', '/', ':'))}{choose(KEYS)}"
        return f"{choose(PREFIXES)}{key}={value}"

    def _file(self) -> str:
        """The group of a new file."""
        group = self._random.choice((*GROUPS, "experiment", "hydra/job_logging", "plugin"))
        path = self.folder / group / "x.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = self._random.choice(("", "# @package _global_\n", "# @package hydra.callbacks\n"))
        path.write_text(head + self._mapping(0), encoding="utf-8", errors="replace")
        return group

    def _mapping(self, depth: int) -> str:
        lines = []
        for _ in range(self._random.randint(0, 4)):
            key = self._random.choice((*KEYS, "defaults", "target", "_target_", "<<", "&a", "*a"))
            if depth < 3 and self._random.random() < 0.3:
                inner = self._mapping(depth + 1)
                lines.append(f"{'  ' * depth}{key}:\n{inner}")
            else:
                lines.append(f"{'  ' * depth}{key}: {self._random.choice(VALUES)}\n")
        if self._random.random() < 0.1:
            letters = (self._random.choice(LETTERS) for _ in range(20))
            lines.append("".join(letters) + "\n")
        return "".join(lines)


def _wrong(code: int, shown: str, seconds: float) -> str | None:
    """What is wrong with how a command ended."""
    if code not in (0, 2):
        return f"exit code {code}"
    if "Traceback" in shown:
        return "a traceback"
    if HIDDEN.search(shown):
        return "control characters"
    if any(len(line) > LONGEST_LINE + 7 for line in shown.splitlines()):
        return "a long line"
    if code == 2 and not shown.startswith("clrun: "):
        return "no line of ours"
    if seconds > SLOW:
        return f"{seconds:.0f} CPU seconds"
    return None


def run(seconds: float, seed: int) -> int:
    """Fuzz, and print what was found; 1 if anything was."""
    print(f"seed {seed}, {seconds:g} seconds", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "started_here"
        place.mkdir()
        os.chdir(place)
        fuzz = Fuzz(seed, Path(folder) / "conf")
        fuzz.folder.mkdir()
        fuzz.go_on(seconds)
        written = [str(path) for path in place.rglob("*")]
        os.chdir("/")
    codes = ", ".join(f"{count:,} with {code}" for code, count in sorted(fuzz.codes.items()))
    print(f"{fuzz.codes.total():,} commands: {codes}")
    findings = [*fuzz.findings, *(f"written: {path}" for path in written)]
    findings += ["torch was imported"] if "torch" in sys.modules else []
    for finding in findings:
        print(finding)
    return int(bool(findings))


if __name__ == "__main__":
    _seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    _seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    sys.exit(run(_seconds, _seed))
