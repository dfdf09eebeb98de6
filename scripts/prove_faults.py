"""Crash a real save at each of its system calls, and damage its newest state in thousands of ways.

    scripts/prove_faults [CORRUPTIONS]

The tests do the first in Python and the second 300 times; here `strace` makes the system itself
fail, and kills, at every call of a save: openat, write, fsync, rename, ... After each the newest
state is the old one or the new one, nothing unfinished is left of a save that failed, and the next
save works. CORRUPTIONS (5000) seeds are then used to damage the newest state's file or its record:
always the state before it is found, with one note. The exit code is 1 when anything else happens.
"""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from test_checkpoint import DAMAGE, facts_of, is_state, names, saved, state_of

from clrun.errors import StorageError
from clrun.records.checkpoint import Checkpoints

CALLS = (
    *("mkdir", "openat", "chmod", "fchmodat", "write", "fsync", "close"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat"),
)
FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC")
BEFORE = 3
"""States that were saved before the one whose save fails: the last save removes one."""
FAILED = 5  # the child's exit code


def main() -> int:
    corruptions = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    logging.getLogger("clrun.note").addHandler(Notes)
    with tempfile.TemporaryDirectory() as place:
        wrong = [*crashes(Path(place)), *damages(Path(place), corruptions)]
    print(*wrong or ["Nothing went wrong."], sep="\n")
    return int(bool(wrong))


class _Notes(logging.Handler):
    """Counts what is noted, and shows nothing."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


Notes = _Notes()


def crashes(place: Path) -> Iterator[str]:
    """Every call of a save with every fault; what went wrong."""
    if shutil.which("strace") is None:
        print("strace is not installed: the calls of a save are not broken.")
        return
    log = place / "calls"
    code, _ = traced_save(place / "whole", ["-o", str(log)])
    calls = Counter(re.findall(rf"^(?:\d+ +)?({'|'.join(CALLS)})\(", log.read_text(), re.M))
    if code or not calls:
        yield f"a save under strace ended with {code} after {dict(calls)}; may strace attach here?"
        return
    seen: Counter[str] = Counter()
    for call, count in calls.items():
        for number in range(1, count + 1):
            for fault in FAULTS:
                folder = place / f"{call}-{number}-{fault}"
                inject = f"inject={call}:{fault}:when={number}"
                code, left = traced_save(folder, ["-o", os.devnull, "-e", inject])
                seen[fault] += 1
                if problem := after_crash(folder, code, left, fault):
                    yield f"{call} {number} {fault}: {problem}"
    print(f"a save makes {dict(calls)}; broken at each: {dict(seen)}")


def traced_save(folder: Path, words: list[str]) -> tuple[int, list[str]]:
    """Save one more state in a process that strace watches; how it ended, and what it left."""
    saved(folder, BEFORE)
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        try:
            Checkpoints(folder).save(state_of(BEFORE + 1), facts_of(BEFORE + 1))
        except StorageError:
            os._exit(FAILED)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    trace = ["strace", "-p", str(child), "-e", f"trace={','.join(CALLS)}", *words]
    with subprocess.Popen(trace, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        tracer.stderr.readline()  # attached, or why not
        os.write(go, b"x")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(ready)
    os.close(go)
    return code, [name for name in names(folder) if name.startswith(".")]


def after_crash(folder: Path, code: int, left: list[str], fault: str) -> str:
    """What is wrong with the folder after a save that was broken; nothing, it should be."""
    if code not in (0, FAILED, -signal.SIGKILL):
        return f"exit code {code}"
    found = Checkpoints(folder).newest()
    if found is None or not is_state(found.state, found.number):
        return "no state, or a wrong one"
    if found.number not in (BEFORE, BEFORE + 1) or found.facts != facts_of(found.number):
        return f"state {found.number} with {found.facts}"
    if fault != "signal=KILL" and (left or (code == FAILED) != (found.number == BEFORE)):
        return f"exit code {code}, state {found.number}, left {left}"
    Checkpoints(folder).save(state_of(BEFORE + 2), facts_of(BEFORE + 2))
    after = Checkpoints(folder).newest()
    if after is None or not is_state(after.state, BEFORE + 2):
        return "the next save is not found"
    return "" if not [name for name in names(folder) if name.startswith(".")] else "rubbish is left"


def damages(place: Path, count: int) -> Iterator[str]:
    """The newest state damaged with so many seeds; what went wrong."""
    folder = place / "damaged"
    saved(folder, 2)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    kinds: Counter[str] = Counter()
    for seed in range(count):
        chance = random.Random(seed)
        kind = chance.choice([*DAMAGE, "gone"])
        name = f"state-000000002.{chance.choice(['safetensors', 'json'])}"
        if kind == "gone":
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(DAMAGE[kind](chance)(whole[name]))
        before = Notes.count
        found = Checkpoints(folder).newest()
        if found is None or not is_state(found.state, 1) or Notes.count != before + 1:
            yield f"seed {seed}, {kind} of {name}: not fallen back, or not said"
        (folder / name).write_bytes(whole[name])
        kinds[kind] += 1
    print(f"{count} times damaged: {dict(kinds)}")


if __name__ == "__main__":
    sys.exit(main())
